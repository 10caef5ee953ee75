"""Shared parts of the models' examples, and how an example gets into /openapi.json."""

from typing import Any

from pydantic import BaseModel, ConfigDict

PROFILE_ID = "prf_0f8c1d2e3a4b5c6d7e8f9a0b1c2d3e4f"
OTHER_ID = "prf_9a0b1c2d3e4f0f8c1d2e3a4b5c6d7e8f"
AT = "2024-05-01T12:00:00.000Z"
EXAMPLE_RULE: dict[str, Any] = {
    "all": [
        {
            "event": "order.completed",
            "where": [{"property": "revenue", "gte": 20}],
            "count": {"gte": 2},
            "within": "30d",
        },
        {"trait": "country", "in": ["IR", "DE"]},
    ]
}
EXAMPLE_COMPUTE: dict[str, Any] = {"event": "order.completed", "take": "count", "within": "90d"}
CURSOR = "x5Y0W3sxNzE0"


def with_example(value: Any, *, closed: bool = False) -> ConfigDict:
    """`closed`: for requests: unknown members are refused, and 0 is not false."""
    return ConfigDict(json_schema_extra={"examples": [value]}, extra="forbid" if closed else "allow", strict=closed)


def example(model: type[BaseModel], status: int = 200, description: str = "Done.") -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route with this model, with its example."""
    content = {"application/json": {"example": example_of(model)}}
    return {status: {"description": description, "content": content}}


def example_of(model: type[BaseModel]) -> Any:
    extra = model.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    examples = extra["examples"]
    assert isinstance(examples, list)
    return examples[0]
