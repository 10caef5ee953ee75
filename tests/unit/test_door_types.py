"""A connector that takes one member of an event for another does not pass the type checker."""

from pathlib import Path

import pytest
from mypy import api

REPOSITORY = Path(__file__).parents[2]

CONNECTOR = """
from producers.incoming import ClaimedAt, Consent, Context, Incoming, Object, SentAt, Traits
from registry.models import Source

def read(
    source: Source,
    received: int,
    claimed: ClaimedAt | None,
    sent: SentAt,
    traits: Traits,
    properties: Object,
    context: Context,
    consent: Consent,
) -> Incoming:
    return Incoming({arguments})
"""
RIGHT = {
    "type": '"order.completed"',
    "id": '"o-1"',
    "source": "source",
    "channel": '"web"',
    "received_at": "received",
    "original_time": "claimed",
    "sent_at": "sent",
    "traits": "traits",
    "properties": "properties",
    "context": "context",
    "consent": "consent",
}
MEMBERS = ("received_at", "original_time", "sent_at", "traits", "properties", "context", "consent")
SWAPS = [(a, b) for i, a in enumerate(MEMBERS) for b in MEMBERS[i + 1 :]]


def connector(members: dict[str, str]) -> str:
    return CONNECTOR.format(arguments=", ".join(f"{name}={value}" for name, value in members.items()))


def sdk_connector(a: str, b: str) -> str:
    """The one that every event of an SDK goes through, with two values swapped: `name=value` each."""
    text = (REPOSITORY / "producers" / "segment.py").read_text()
    (a_name, a_value), (b_name, b_value) = a.split("="), b.split("=")
    assert f" {a},\n" in text
    assert f" {b},\n" in text
    return text.replace(f" {a},\n", f" {a_name}={b_value},\n").replace(f" {b},\n", f" {b_name}={a_value},\n")


CONNECTORS = {
    "right": connector(RIGHT),
    "by_place": connector(RIGHT).replace('type="order.completed", id=', '"order.completed", '),
    "sdk_times": sdk_connector("original_time=original", "sent_at=sent_at"),
    "sdk_objects": sdk_connector("properties=properties", "context=context"),
    **{f"{a}__{b}": connector({**RIGHT, a: RIGHT[b], b: RIGHT[a]}) for a, b in SWAPS},
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the type checker says of each connector, by its name. It reads all of them at once, in some seconds."""
    folder = tmp_path_factory.mktemp("connectors")
    for name, text in CONNECTORS.items():
        (folder / f"{name}.py").write_text(text)
    said, errors, _ = api.run(
        [
            *("--config-file", str(REPOSITORY / "pyproject.toml"), "--follow-imports", "silent"),
            *("--cache-dir", str(folder / "cache"), *(str(folder / f"{name}.py") for name in CONNECTORS)),
        ]
    )
    assert not errors
    return {name: "\n".join(line for line in said.splitlines() if f"{name}.py" in line) for name in CONNECTORS}


def test_the_right_connector_passes(checked: dict[str, str]) -> None:
    assert checked["right"] == ""


@pytest.mark.parametrize("name", ["sdk_times", "sdk_objects", *(f"{a}__{b}" for a, b in SWAPS)])
def test_swapped_members_are_an_error(checked: dict[str, str], name: str) -> None:
    assert 'to "Incoming" has incompatible type' in checked[name]


def test_members_are_given_by_name(checked: dict[str, str]) -> None:
    assert "error" in checked["by_place"]
