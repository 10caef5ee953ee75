"""Cases from public bug reports of other platforms, played against a real server: `tests/data/cases/*.json`.

A case says what it is about, which rule holds, and the reports it comes from. Its steps are `send` (to the collector),
`get`, `post` and `put` (to the API) and `settle`. A step with `at` compares the value at that path of the answer with
`expected`; `map` picks a path of each item, `sort` and `count` say how lists are compared, `eventually` asks again
until it is so. In texts `$T-30d` and `$T+5s` are times from now, `$R` is a text of this run, and `$name` is what a
step with `keep` kept.
"""

import json
import re
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.harness import WRITE_KEY, Client, Server, running

CASES = sorted((Path(__file__).parent.parent / "data" / "cases").glob("*.json"))
LATER: dict[str, str] = {}
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MOMENT = re.compile(r"\$T([+-]\d+(?:\.\d+)?)([smhd])")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Client]]:
    with running(tmp_path_factory.mktemp("cases") / "data", SIMORGH_PHONE_REGION="IR") as world:
        yield world


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(client: tuple[Server, Client], path: Path, request: pytest.FixtureRequest) -> None:
    if path.stem in LATER:
        request.applymarker(pytest.mark.xfail(reason=LATER[path.stem], strict=True))
    _Play(client[1], json.loads(path.read_text()))()


class _Play:
    """One case, once. Every text of it is its own, so that cases can share a server."""

    def __init__(self, client: Client, case: dict[str, Any]) -> None:
        self._client = client
        self._case = case
        self._now = datetime.now(UTC)
        self._names = {"R": uuid.uuid4().hex[:8]}

    def __call__(self) -> None:
        for step in self._case["steps"]:
            if "settle" in step:
                self._client.settled()
            elif "at" in step:
                self._compare(step)
            else:
                self._ask(step)

    def _compare(self, step: dict[str, Any]) -> None:
        expected = self._filled(step["expected"])
        patience = 30 if step.get("eventually") else 5  # lists and segments follow a profile within a second or so
        end = time.monotonic() + patience
        while (found := self._found(step)) != expected and time.monotonic() < end:
            pass
        assert found == expected, f"{self._case['rule']} (step {step.get('get') or step.get('send')})"

    def _found(self, step: dict[str, Any]) -> Any:
        found = _at(self._ask(step), step["at"])
        if "map" in step and isinstance(found, list):
            found = [_at(item, step["map"]) for item in found]
        if step.get("sort") and isinstance(found, list):
            found = sorted(found)
        return len(found or []) if "count" in step else found

    def _ask(self, step: dict[str, Any]) -> Any:
        method = next(name for name in ("send", "get", "post", "put") if name in step)
        path = self._filled(step[method])
        sent: dict[str, Any] = {"content": step["raw"].encode("utf-8", "surrogatepass")} if "raw" in step else {}
        if "body" in step:
            sent = {"content": json.dumps(self._filled(step["body"])).encode()}
        headers = {"content-type": "application/json"}
        if method == "send":
            headers["authorization"] = ""
            key = self._filled(step["key"]) if "key" in step else WRITE_KEY
            answer = self._client.http.post(path, headers=headers, auth=(key, ""), **sent)
        else:
            answer = self._client.http.request(method.upper(), path, headers=headers, **sent)
        told = {"status": answer.status_code, **_members(answer)}
        if "keep" in step:
            self._names[step["keep"]] = str(_at(told, step["of"]))
        return told

    def _filled(self, value: Any) -> Any:
        match value:
            case dict():
                return {self._filled(name): self._filled(each) for name, each in value.items()}
            case list():
                return [self._filled(each) for each in value]
            case str():
                return self._text(value)
            case _:
                return value

    def _text(self, text: str) -> str:
        text = _MOMENT.sub(lambda found: self._moment(float(found[1]), found[2]), text)
        for name, value in self._names.items():
            text = text.replace("$" + name, value)
        return text

    def _moment(self, amount: float, unit: str) -> str:
        moment = self._now + timedelta(**{_UNITS[unit]: amount})
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _members(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        return {"body": answer.text}
    return told if isinstance(told, dict) else {"body": told}


def _at(value: Any, path: str) -> Any:
    for part in filter(None, path.split(".")):
        if isinstance(value, list):
            value = value[int(part)] if part.lstrip("-").isdigit() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value
