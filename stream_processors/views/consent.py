"""What a person has stated for a purpose, as views say it; from the tables where a view has no room for it."""

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import Final, NamedTuple

import orjson

from registry.models import Purpose
from registry.purposes import Choice, allows
from schemas.order import time_of
from stream_processors.views.find import Views
from warehouse.reader import Reader, Row

_STATED: Final = """SELECT name, argMax(tuple(value), ver).1 AS value, max(ver) AS latest,
    argMax(source, ver) AS origin, argMax(channel, ver) AS way FROM traits
WHERE node IN (SELECT node FROM members WHERE profile = {profile:UInt128} GROUP BY node HAVING argMax(live, ver))
  AND kind = 'consent' AND name IN {names:Array(String)} GROUP BY name"""


class Statement(NamedTuple):
    """The one that holds. `at`: when it was made, in ms."""

    choice: Choice
    at: int
    source: str
    channel: str


def statements(reader: Reader, profile: int, view: Row, purposes: Collection[str]) -> dict[str, Statement]:
    """Purpose -> the statement that holds, of what the view (`rows.profiles.view_text`, read) says, and of these
    purposes whatever it says. Blocks for a query where a view does not show all that was stated."""
    choices: Mapping[str, Choice] = view["consent"]
    origins, is_all = view.get("stated", ({}, True))
    found = {name: Statement(choice, *origins.get(name, (0, "", ""))) for name, choice in choices.items()}
    hidden = [] if is_all else sorted(set(purposes) - found.keys())
    rows = reader.look_up(_STATED, {"profile": profile, "names": hidden}) if hidden else []
    return found | {
        row["name"]: Statement(
            orjson.loads(row["value"]), time_of(row["latest"]), row["origin"].removeprefix("/sources/"), row["way"]
        )
        for row in rows
        if row["value"] is not None
    }


def who_allows(
    purposes: Callable[[], Mapping[str, Purpose]], views: Callable[[], Views], reader: Reader
) -> Callable[[str, Sequence[int]], Set[int]]:
    """Asks which of some profiles allow a purpose at this moment; blocks for a query or two.

    A profile that was absorbed allows what its heir allows; of one that is nowhere, the purpose's default holds.
    """

    def ask(purpose: str, profiles: Sequence[int]) -> Set[int]:
        shown, declared = views(), purposes().get(purpose)
        found = dict(shown.of(profiles))
        heirs = shown.owners(profile for profile in profiles if profile not in found)
        theirs = shown.of(sorted(set(heirs.values())))
        homes = {profile: (profile, view) for profile, view in found.items()}
        homes |= {profile: (heir, theirs[heir]) for profile, heir in heirs.items() if heir in theirs}
        allowing = set()
        for profile in profiles:
            home = homes.get(profile)
            stated = statements(reader, home[0], orjson.loads(home[1].text), [purpose]) if home else {}
            if allows(declared, stated[purpose].choice if purpose in stated else None):
                allowing.add(profile)
        return allowing

    return ask
