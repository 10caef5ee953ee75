"""Rejected events of a person: they belong to no profile, so they are found by their identifiers."""

import json
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any, Final

import orjson

from profile_api import people, views
from profile_api.deps import ApiDeps
from schemas.errors import InvalidIdentifier, NotFound

_PAGE: Final = 200
_WORD: Final = re.compile(r"[^\s\"',:;{}\[\]<>]+")
_ENDING: Final = 4
"""Characters of a phone number that are looked for: people write the rest in many ways."""

# Where a text stands in a payload, the event may be theirs: who it is about is seen by reading it.
_CANDIDATES = """SELECT source, id, digest FROM rejected FINAL
WHERE multiSearchAnyCaseInsensitiveUTF8(payload, {texts:Array(String)}) ORDER BY source, id, digest LIMIT 200000"""
_SOME = """SELECT id, source, channel, code, reason, toUnixTimestamp64Milli(received_at) AS received_ms, webhook,
    resolved, isValidUTF8(payload) AS is_text, if(is_text, payload, '') AS text,
    if(is_text, '', base64Encode(payload)) AS base64
FROM rejected FINAL WHERE source IN {sources:Array(String)} AND id IN {ids:Array(String)}
  AND digest IN {digests:Array(UInt64)} ORDER BY received_at, source, id, digest"""


def rejected(
    deps: ApiDeps, identifiers: Collection[tuple[str, str]], nodes: Collection[int]
) -> Iterator[dict[str, Any]]:
    """Rejected events that contain an identifier of the person as a value of its own. A request about several people is
    listed without its content, which may be about others."""
    texts = sorted({text for kind, value in identifiers for text in _looked_for(kind, value)})
    kinds = sorted({kind for kind, _ in identifiers})
    keys = deps.reader.fill(_CANDIDATES, {"texts": texts}) if texts else []
    for start in range(0, len(keys), _PAGE):
        some = keys[start : start + _PAGE]
        sources, ids, digests = ([key[n] for key in some] for n in range(3))
        for row in deps.reader.rows(_SOME, {"sources": sources, "ids": ids, "digests": digests}):
            payload = _read(row["text"])
            if any(_is_theirs(deps, kinds, nodes, leaf) for leaf in leaves(payload)):
                yield _view(row, payload)


def _looked_for(kind: str, value: str) -> set[str]:
    """The forms that a value may have in JSON."""
    text = value[-_ENDING:] if kind == "phone" else value
    return {orjson.dumps(text).decode()[1:-1], json.dumps(text)[1:-1]}


def _read(text: str) -> Any:
    """The payload as JSON; its words if it is no JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return tuple(_WORD.findall(text))


def leaves(value: Any) -> Iterator[str]:
    """Every text and number in a JSON value."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
        elif isinstance(one, str | int) and not isinstance(one, bool):
            yield str(one)


def _is_theirs(deps: ApiDeps, kinds: Collection[str], nodes: Collection[int], text: str) -> bool:
    for kind in kinds:
        with suppress(InvalidIdentifier, NotFound):
            if not set(people.nodes_of_identifier(deps, kind, text)).isdisjoint(nodes):
                return True
    return False


def _view(row: dict[str, Any], payload: Any) -> dict[str, Any]:
    shown = views.rejected_view(row)
    is_batch = isinstance(payload, dict) and isinstance(payload.get("batch"), list)
    if is_batch or isinstance(payload, list) or (isinstance(payload, tuple) and "batch" in payload):
        shown = {name: shown[name] for name in shown if not name.startswith("payload")} | {"several_people": True}
    return shown
