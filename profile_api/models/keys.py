"""What is told about sources and tokens."""

from typing import Any

from pydantic import BaseModel

from profile_api.models.examples import example_of, with_example

_SOURCE: dict[str, Any] = {
    "id": "shop",
    "name": "The shop",
    "channel": "web",
    "enabled": True,
    "unplanned": "accept",
    "schema_faults": "accept",
    "allowed_origins": ["*"],
    "clock": None,
    "time_zone": None,
    "region": "DE",
    "currency": "EUR",
    "book": None,
    "trust": None,
    "aliases": {},
    "keys": [{"id": "9f86d081884c"}],
}


class Source(BaseModel):
    model_config = with_example(_SOURCE)
    id: str


class SourcePage(BaseModel):
    model_config = with_example({"items": [_SOURCE], "next_cursor": None})
    items: list[Source]
    next_cursor: str | None


class NewKey(BaseModel):
    """A write key; it is shown this once."""

    model_config = with_example({"id": "9f86d081884c", "source": "shop", "write_key": "smg_wk_…"})
    id: str
    source: str
    write_key: str


class TokenView(BaseModel):
    model_config = with_example({"id": "tok_1", "name": "dashboard", "scopes": ["read"], "expires_at": None})
    id: str
    scopes: list[str]


class NewToken(BaseModel):
    """A token; it is shown this once."""

    model_config = with_example(
        {"id": "tok_1", "name": "dashboard", "scopes": ["read"], "expires_at": None, "token": "smg_at_…"}
    )
    id: str
    scopes: list[str]
    token: str


class TokenPage(BaseModel):
    model_config = with_example({"items": [example_of(TokenView)], "next_cursor": None})
    items: list[TokenView]
    next_cursor: str | None
