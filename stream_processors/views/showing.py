"""Profiles after a back-fill: updates the segments in their views and rows inside the warehouse.

This is faster than computing the rows again, since a segment may have millions. Idempotent: a query finds the rows that
differ from the memberships.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from segments.sql import Page
from stream_processors.state.profile import NEVER
from warehouse import latest
from warehouse.client import Writer

_AT_ONCE: Final = 20_000

_PAGE: Final = "profile BETWEEN {first:UInt128} AND {last:UInt128}"

_TOLD: Final = latest.memberships("segment IN {segments:Array(String)} AND " + _PAGE)
_HELD: Final = f"""SELECT profile, arraySort(groupArray((name, since))) AS held FROM (
        SELECT profile, toString(segment) AS name, since
        FROM ({_TOLD}))
    GROUP BY profile"""
"""Each profile's published memberships in these segments."""

_SHOWN: Final = "argMax(arraySort(arrayFilter(one -> has({segments:Array(String)}, one), segments)), ver) AS shown"
_DIFFERENT: Final = f"""SELECT profile FROM ({latest.profiles(_SHOWN, _PAGE)}) AS rows
    LEFT JOIN ({_HELD}) AS told USING profile
    WHERE shown != held.1 ORDER BY profile"""
"""Rows are made from views, so if the rows are right, the views are too."""

_SOME: Final = "profile IN {profiles:Array(UInt128)}"

_SHOW_IN_VIEWS: Final = f"""INSERT INTO views
    WITH told AS ({_HELD}),
    latest AS ({latest.versions("views", _SOME)}),
    changed AS (
        SELECT profile, arraySort(arrayConcat(
            arrayFilter(one -> NOT has({{segments:Array(String)}}, one.1), arrayZip(latest.segments, latest.entered)),
            told.held)) AS held
        FROM latest LEFT JOIN told USING profile)
    SELECT latest.* REPLACE ({{ver:UInt64}} AS ver, changed.held.1 AS segments, changed.held.2 AS entered)
    FROM latest INNER JOIN changed USING profile"""

_SHOW_IN_ROWS: Final = f"""INSERT INTO profile_rows
    WITH latest AS ({latest.versions("profile_rows", _SOME)}),
    seen AS (SELECT profile, argMax(segments, ver) AS segments FROM views WHERE {_PAGE} GROUP BY profile),
    timed AS (SELECT one.1 AS profile, fromUnixTimestamp64Milli(one.2, 'UTC') AS at
        FROM (SELECT arrayJoin(arrayZip({{profiles:Array(UInt128)}}, {{moments:Array(Int64)}})) AS one))
    SELECT latest.* REPLACE ({{ver:UInt64}} AS ver, seen.segments AS segments, least(latest.due, timed.at) AS due)
    FROM latest INNER JOIN seen USING profile INNER JOIN timed USING profile
    WHERE latest.live = 1 AND (latest.segments != seen.segments OR timed.at < latest.due)"""


def show_members(
    writer: Writer, segments: Sequence[str], page: Page, version: int, due: Mapping[int, int] | None = None
) -> None:
    """Update some segments in the views and rows of a page's live profiles from the table of memberships. Blocks.
    `version` of the rows to write: above that of existing ones. `due`: profile -> the latest moment, in ms, for its row
    to be due.
    """
    due = due or {}
    bound = {"segments": list(segments), "first": page.first, "last": page.last, "ver": version}
    changed = [row[0] for row in writer.rows(_DIFFERENT, bound)]
    for chunk in _chunks(changed):
        writer.command(_SHOW_IN_VIEWS, {**bound, **_within(chunk), "profiles": chunk})
    for chunk in _chunks(sorted({*changed, *due})):
        moments = [due.get(profile, NEVER) for profile in chunk]
        writer.command(_SHOW_IN_ROWS, {**bound, **_within(chunk), "profiles": chunk, "moments": moments})


def _within(chunk: Sequence[int]) -> dict[str, int]:
    """The page of these profiles, which are in order."""
    return {"first": chunk[0], "last": chunk[-1]}


def _chunks(profiles: Sequence[int]) -> list[Sequence[int]]:
    return [profiles[start : start + _AT_ONCE] for start in range(0, len(profiles), _AT_ONCE)]
