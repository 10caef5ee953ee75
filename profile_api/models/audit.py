"""Answers about the audit."""

from pydantic import BaseModel

from profile_api.models.examples import AT, CURSOR, PROFILE_ID, with_example

_ENTRY = {
    "at": AT,
    "token": "tok_1",
    "name": "dashboard",
    "action": "profiles.view",
    "request": "7c9e6679f4d84a5f9d6e1f0b2a3c4d5e",
    "asked": False,
    "status": 200,
    "target": None,
    "profiles": [PROFILE_ID],
    "others": 0,
    "sought": [],
    "offset": 41,
}


class AuditEntryView(BaseModel):
    """A request: its token, its action, the status of the answer, and the people whose data was concerned.

    `profiles`: the first 100, `others`: how many more people or events. `sought`: keyed hashes of what was looked for
    and not found. `target`: the declaration that was meant. A change has two entries with one `request`: `asked` before
    it, with no `status`, and what became of it.
    """

    model_config = with_example(_ENTRY)
    at: str
    token: str
    name: str
    action: str
    request: str
    asked: bool
    status: int | None
    target: str | None
    profiles: list[str]
    others: int
    sought: list[str]
    offset: int


class AuditPage(BaseModel):
    """Entries, newest first. A page may hold few of them, or none, while there are more: go on with `next_cursor`."""

    model_config = with_example({"items": [_ENTRY], "next_cursor": CURSOR})
    items: list[AuditEntryView]
    next_cursor: str | None


class AuditFault(BaseModel):
    offset: int
    reason: str


class AuditChecked(BaseModel):
    """What was checked so far: `entries`, and the `head`: note it, and pass it as `known` next time. `broken` counts
    the places that are not as written; `faults` names the first 20. `next_cursor`: there is more to check."""

    model_config = with_example(
        {
            "entries": 1200,
            "chains": 3,
            "broken": 0,
            "faults": [],
            "head": "1200:9f86d081884c7d659a2feaa0c55ad015",
            "next_cursor": None,
        }
    )
    entries: int
    chains: int
    broken: int
    faults: list[AuditFault]
    head: str
    next_cursor: str | None
