"""Answers about sources and tokens."""

from typing import Any, ClassVar

from pydantic import BaseModel

from profile_api.models.examples import AT, example_of, with_example

_KEY = {"id": "9f86d081884c", "begins": "smg_wk_4fGh81Qz_…", "created_at": AT}
_SOURCE: dict[str, Any] = {
    "id": "shop",
    "name": "The shop",
    "channel": "web",
    "enabled": True,
    "unplanned": "accept",
    "schema_faults": "accept",
    "allowed_origins": ["*"],
    "addresses": "shorten",
    "bots": "accept",
    "clock": None,
    "time_zone": None,
    "region": "DE",
    "currency": "EUR",
    "book": None,
    "trust": None,
    "aliases": {},
    "vendor": None,
    "webhook": {"url": None, "topics": [], "hints": "keep", "mapping": None, "proof": None},
    "budget": {
        "events_per_second": 200,
        "megabytes_per_day": None,
        "types_per_day": None,
        "names_per_day": None,
        "identifiers_per_day": None,
    },
    "keys": [_KEY],
}
_ACTIVE: dict[str, Any] = _SOURCE | {"events": 12000, "rejected": 3, "last_event_at": AT}


class SourceView(BaseModel):
    """The settings; the id and the first characters of each key, the older key first. `events`: the number of unique
    events; `rejected`: of open rejected ones; `last_event_at`: the receipt of the latest accepted event, null if
    there is none, or if it is not known now.
    """

    OPEN: ClassVar = True
    model_config = with_example(_ACTIVE)
    id: str
    keys: list[dict[str, str | None]]


class SourcePage(BaseModel):
    model_config = with_example({"items": [_ACTIVE], "next_cursor": None})
    items: list[SourceView]
    next_cursor: str | None


class NewKey(BaseModel):
    """A write key. Only this answer shows it."""

    OPEN: ClassVar = True
    model_config = with_example(_KEY | {"source": "shop", "write_key": "smg_wk_4fGh81Qz_…"})
    id: str
    source: str
    write_key: str


_SECRET: dict[str, Any] = {
    "id": "4fGh81Qz",
    "use": "signing",
    "begins": "whse…",
    "created_at": AT,
    "until": None,
}


class SecretView(BaseModel):
    """A secret, of which only the first characters are shown. `until`: when it expires; null: when it is removed."""

    model_config = with_example(_SECRET)
    id: str
    use: str
    begins: str
    created_at: str
    until: str | None


class SecretList(BaseModel):
    model_config = with_example({"items": [_SECRET], "next_cursor": None})
    items: list[SecretView]
    next_cursor: str | None


class Rehearsed(BaseModel):
    """What a recorded request would become. `verified`: whether one of the secrets of the source signed it; `reason`:
    why not. `handshake`: the answer, if it is one. `privacy`: requests of people in it."""

    model_config = with_example(
        {
            "verified": True,
            "events": [
                {
                    "type": "email.opened",
                    "id": "e-1",
                    "name": "open",
                    "time": AT,
                    "channel": "email",
                    "identifiers": [{"type": "email", "value": "sara@example.com"}],
                    "properties": {"email_id": "m-1"},
                }
            ],
            "rejected": [],
            "privacy": [],
        }
    )
    verified: bool
    reason: str | None = None
    handshake: dict[str, Any] | None = None
    events: list[dict[str, Any]]
    rejected: list[dict[str, str]]
    privacy: list[dict[str, str]]


_TOKEN: dict[str, Any] = {
    "id": "tok_1",
    "name": "dashboard",
    "scopes": ["read"],
    "created_at": AT,
    "expires_at": None,
}


class TokenView(BaseModel):
    """`expires_at`: it stops working then; null: never. `created_at`: null for the token of SIMORGH_API_TOKEN."""

    OPEN: ClassVar = True
    model_config = with_example(_TOKEN)
    id: str
    scopes: list[str]
    created_at: str | None
    expires_at: str | None


class NewToken(BaseModel):
    """A token. Only this answer shows it."""

    OPEN: ClassVar = True
    model_config = with_example(_TOKEN | {"token": "smg_at_…"})
    id: str
    scopes: list[str]
    token: str


class TokenPage(BaseModel):
    model_config = with_example({"items": [example_of(TokenView)], "next_cursor": None})
    items: list[TokenView]
    next_cursor: str | None
