"""Every error says where, what was wanted, what came and what to do, in one form: the texts of all errors that our code
makes are read from its syntax tree."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("schemas", "eventlog", "registry", "identity", "segments", "privacy", "producers", "warehouse", "destinations",
         "stream_processors", "profile_api", "simorgh", "benchmarks", "deploy")  # fmt: skip

FORM = re.compile(r"[^:]+.*: wanted .+, got .+; .+", re.DOTALL)

COMPUTED = {
    "eventlog/kafka/admin.py": "Backpressure({_no_answer(connection)})",
    "eventlog/sqlite_chunks.py": "Damaged(…): its class makes the message",
    "producers/cloudevents.py": "InvalidEvent({refused[:500]}): the sender's own words",
    "identity/rules.py": "InvalidRule({first.message}): pydantic's faults in our words (`schemas.wanted`)",
    "producers/collector.py": "RequestRefused(…, {error.message}): another error's text, under an HTTP status",
    "producers/door.py": "InvalidEvent({first.reason}): a fault of a schema (`schemas.reasons`)",
    "producers/identifiers.py": "InvalidEvent({wrong.message}), InvalidEvent({FORGOTTEN}): another's text; a constant",
    "producers/fetching.py": "Unverified({about(…)}): the guard's text, of an address in a request",
    "producers/vendors/generic.py": "InvalidInput({error}), Unmappable({error.message}): a fault of what was declared",
    "producers/vendors/mapping.py": "InvalidInput({said}): msgspec's fault of a mapping, in our words",
    "producers/webhooks.py": "RequestRefused(…, {error.message}): another error's text, under an HTTP status",
    "profile_api/params.py": "InvalidInput({_WANTED}): the text of a constant",
    "registry/registry.py": "InvalidInput({faults(error)}): a line for each fault of a model",
    "simorgh/fetching.py": "Backpressure({error.message…}): another error's text, under another name",
    "simorgh/front.py": "InvalidSettings({why}): three texts of this form",
    "simorgh/settings.py": "InvalidSettings(…): a line for each setting at fault",
    "warehouse/client.py": "OtherTables(database): its class makes the message",
}
"""Files whose other messages are put together at run time, and why. `{…}` alone matches no form."""


def trees() -> Iterator[tuple[str, ast.Module]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def errors() -> set[str]:
    """The names of `SimorghError` and of all that inherit it."""
    bases: dict[str, set[str]] = {}
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = {base.id for base in node.bases if isinstance(base, ast.Name)}
    known = {"SimorghError"}
    while more := {name for name, of in bases.items() if of & known} - known:
        known |= more
    return known


def text_of(node: ast.expr) -> str:
    """A text with `{…}` for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return text_of(left) + text_of(right)
        case _:
            return "{…}"


@cache
def messages() -> tuple[tuple[str, str], ...]:
    """File and text of each error that is made: the first argument that is a text."""
    return tuple(_messages())


def _messages() -> Iterator[tuple[str, str]]:
    known = errors()
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in known:
                texts = [text_of(argument) for argument in node.args]
                yield path, next((text for text in texts if text != "{…}"), "{…}")


def is_computed(text: str) -> bool:
    return "wanted" not in text and "{…}" in text


def test_every_message_has_the_one_form() -> None:
    wrong = [
        f"{path}: {text}"
        for path, text in messages()
        if not FORM.fullmatch(text) and not (path in COMPUTED and is_computed(text))
    ]
    assert not wrong, "wanted `where: wanted this, got that; do this`:\n" + "\n".join(wrong)


def test_the_list_names_only_what_needs_it() -> None:
    odd = [(path, text) for path, text in messages() if not FORM.fullmatch(text)]
    for path in COMPUTED:
        assert any(path == where and is_computed(text) for where, text in odd), f"{path} has no computed message"


def test_messages_are_one_line_each() -> None:
    assert not [text for _, text in messages() if "\n" in text]
