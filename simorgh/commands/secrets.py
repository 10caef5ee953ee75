"""`simorgh sources secret`: the secrets that a source's vendor signs with; and reading recorded requests."""

import base64
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit

import orjson
import typer

from schemas.errors import InvalidInput
from simorgh.commands.options import AsJson, Data, group
from simorgh.commands.output import Json, say, show, tell
from simorgh.commands.session import connect, path_of, read_file

commands = group(
    "The secrets of a source's webhook: several may hold at once, so that one can be changed without a gap."
)

SourceId = Annotated[str, typer.Argument(help="The source's id.")]
Secret = Annotated[
    str | None,
    typer.Argument(help="The secret, or the vendor's public key. Without it, the command asks, or reads from a pipe."),
]
Use = Annotated[str, typer.Option(help="What it is for, if the vendor has several: see docs/channels.md.")]

_MEMBERS: Final = frozenset({"method", "url", "headers", "query", "body", "body_base64", "json", "received_at"})
"""Of a recorded request."""
_METHODS: Final = (b"GET ", b"POST ", b"HEAD ", b"PUT ")


@commands.command("list")
def list_secrets(source_id: SourceId, data: Data = None, as_json: AsJson = False) -> None:
    """List the secrets of a source, masked, the oldest first."""
    with connect(data) as api:
        listed = api.get(path_of("sources", source_id, "secrets"))
    show(listed, ("id", "use", "begins", "created_at", "until"), as_json=as_json)


@commands.command()
def add(
    source_id: SourceId, secret: Secret = None, use: Use = "signing", data: Data = None, as_json: AsJson = False
) -> None:
    """Add a secret; the present ones stay valid."""
    body = {"secret": _given(secret), "use": use}
    with connect(data) as api:
        tell(api.post(path_of("sources", source_id, "secrets"), body), as_json=as_json)


@commands.command()
def rotate(
    source_id: SourceId,
    secret: Secret = None,
    use: Use = "signing",
    keep_hours: Annotated[float, typer.Option(help="How long the others of the same use stay valid.")] = 24,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add a secret; the others of the same use expire."""
    body = {"secret": _given(secret), "use": use, "keep_hours": keep_hours}
    with connect(data) as api:
        tell(api.post(path_of("sources", source_id, "secrets", "rotate"), body), as_json=as_json)


@commands.command()
def remove(
    source_id: SourceId,
    secret_id: Annotated[str, typer.Argument(help="The secret's id, as in `simorgh sources secret list`.")],
    data: Data = None,
) -> None:
    """Remove a secret; requests signed with it are refused from now on."""
    with connect(data) as api:
        api.delete(path_of("sources", source_id, "secrets", secret_id))
    say("removed")


def _given(secret: str | None) -> str:
    """Asks for the secret without showing it, unless it is an argument: arguments end up in the shell's history."""
    text = typer.prompt("Secret", hide_input=True) if secret is None else secret
    if not text.strip():
        raise InvalidInput("secret: wanted a text, got an empty one; copy it from the vendor")
    return str(text.strip())


def recorded_request(path: Path) -> Json:
    """A file as the API takes it: an object of a request's members; a request of HTTP as text; else a body alone.
    Raises `InvalidInput` or `NotFound` in one line."""
    content = read_file(path)
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        parsed = None
    if isinstance(parsed, dict) and {"headers", "query"} & parsed.keys() and parsed.keys() <= _MEMBERS:
        return parsed
    if content.startswith(_METHODS):
        return _from_http(content)
    return {"body_base64": base64.b64encode(content).decode(), "headers": {"content-type": "application/json"}}


def _from_http(content: bytes) -> Json:
    head, blank, body = content.partition(b"\r\n\r\n")
    if not blank:
        head, _, body = content.partition(b"\n\n")
    first, *lines = head.decode("latin-1").splitlines()
    method, _, rest = first.partition(" ")
    target = rest.split(" ", 1)[0]
    headers = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    query = dict(reversed(parse_qsl(urlsplit(target).query, keep_blank_values=True)))
    return {
        "method": method,
        "headers": headers,
        "query": query,
        "body_base64": base64.b64encode(body).decode(),
    }
