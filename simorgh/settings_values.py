"""Values of settings that are more than a word: watched sources, addresses, security of brokers."""

import json
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
)


class Watch(BaseModel):
    """A folder or URL from which files are imported."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    where: Annotated[str, Field(alias="from", min_length=1)]
    mappings: Annotated[tuple[str, ...], Field(min_length=1)]
    """Paths, or names of shipped mappings."""
    every_seconds: Annotated[float, Field(ge=1)] = 3600.0
    headers: dict[str, SecretStr] = {}
    max_refused: Annotated[float, Field(ge=0, le=1)] = 0.1


_WATCHES: Final = TypeAdapter(list[Watch])


def read_watches(value: SecretStr | None) -> list[Watch]:
    """Raises ValueError, which shows no value."""
    if value is None or not value.get_secret_value():
        return []
    try:
        return _WATCHES.validate_json(value.get_secret_value())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the list"
        raise ValueError(
            f"wanted a JSON list of objects with from and mappings, got a fault at {where}: {first['msg']}"
        ) from None


def read_bind(text: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[host]:port`. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) < 65_536):
        raise ValueError("wanted host:port, such as 127.0.0.1:8001")
    return host.strip("[]"), int(port)


def is_server_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and parts.path in ("", "/")
        )
    except ValueError:
        return False


def read_security(security: SecretStr | None) -> dict[str, str]:
    if security is None or not security.get_secret_value():
        return {}
    try:
        found = json.loads(security.get_secret_value())
    except json.JSONDecodeError:
        raise ValueError("wanted a JSON object") from None
    if not isinstance(found, dict):
        raise ValueError("wanted a JSON object")
    return found
