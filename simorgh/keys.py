"""The first write key and token of a new data folder: made once, printed once, stored as hashes."""

from rich.console import Console

from registry.keys import new_token, new_write_key, sha256_hex
from registry.registry import Registry
from registry.scopes import ALL_SCOPES
from simorgh.settings import Settings

_BY = "simorgh serve"


def first_keys(registry: Registry, settings: Settings, console: Console | None = None) -> None:
    """Where neither the environment nor the registry has any, make keys and show them, this one time."""
    out = console or Console(stderr=True)
    if settings.write_key is None and not registry.sources:
        key = new_write_key()
        registry.declare("source", "default", {"name": "First source", "write_key_sha256": [sha256_hex(key)]}, _BY)
        out.print(f"write key  {key}", highlight=False, soft_wrap=True)
    if settings.api_token is None and not registry.tokens:
        token = new_token()
        body = {"name": "First token", "token_sha256": sha256_hex(token), "scopes": sorted(ALL_SCOPES)}
        registry.declare("token", "first", body, _BY)
        out.print(f"API token  {token}", highlight=False, soft_wrap=True)
        out.print("Keep them: only their hashes are stored, and they are not shown again.", highlight=False)
