"""Finding 360° views: recent ones in memory (one machine), all in the warehouse."""

from collections.abc import Iterable, Sequence
from typing import Final

from stream_processors.views.recent import RecentViews, View
from warehouse import latest
from warehouse.reader import Reader, Row

_NOBODY: Final = 0

# A profile has a few versions that are not merged yet: choosing the latest here is quicker than in SQL.
_VIEWS = """SELECT profile, ver, live, view, segments, arrayMap(at -> toUnixTimestamp64Milli(at), entered) AS entered_ms
FROM views WHERE profile IN {profiles:Array(UInt128)}"""
_VIEWS_OF_NODE = _VIEWS.replace("IN {profiles:Array(UInt128)}", "= (" + latest.home("node = {node:UInt128}") + ")")
_OWNERS = latest.homes("node IN {nodes:Array(UInt128)}")


class Views:
    """For any thread; blocks for at most a query or two."""

    def __init__(self, reader: Reader, recent: RecentViews) -> None:
        self._reader = reader
        self._recent = recent

    def owners(self, nodes: Iterable[int]) -> dict[int, int]:
        """The present profile of each node that has one."""
        owners = {node: self._recent.owner(node) for node in set(nodes)}
        unknown = [node for node, profile in owners.items() if profile is None]
        rows = self._reader.look_up(_OWNERS, {"nodes": unknown}) if unknown else []
        found = {node: profile for node, profile in owners.items() if profile}
        return found | {row["node"]: row["home"] for row in rows if row["home"]}

    def of(self, profiles: Sequence[int]) -> dict[int, View]:
        """The views of the live ones among these profiles."""
        known = {profile: view for profile in profiles if (view := self._recent.view(profile))}
        unknown = [profile for profile in profiles if profile not in known]
        rows = self._reader.look_up(_VIEWS, {"profiles": unknown}) if unknown else []
        return {profile: view for profile, view in (known | _latest(rows)).items() if view.live}

    def recent_of_node(self, node: int) -> tuple[int, View] | None:
        """A node's profile and its view, if both are in memory and the profile is live. Never blocks."""
        profile = self._recent.owner(node)
        view = self._recent.view(profile) if profile else None
        return (profile, view) if profile and view and view.live else None

    def of_node(self, node: int) -> tuple[int, View] | None:
        """A node's profile and its view; None if there is none, or if it is being absorbed."""
        profile = self._recent.owner(node)
        if profile == _NOBODY:
            return None
        if profile is not None:
            views = self.of([profile])
        else:
            views = _latest(self._reader.look_up(_VIEWS_OF_NODE, {"node": node}))
            views |= {one: newer for one in views if (newer := self._recent.view(one))}
        return next(((one, view) for one, view in views.items() if view.live), None)


def _latest(rows: Iterable[Row]) -> dict[int, View]:
    newest: dict[int, View] = {}
    for row in rows:
        memberships = list(zip(row["segments"], row["entered_ms"], strict=True))
        view = View(row["ver"], bool(row["live"]), row["view"], memberships)
        newest[row["profile"]] = max(newest.get(row["profile"], view), view)
    return newest
