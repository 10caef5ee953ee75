"""Profiles after a back-fill: their views and rows brought up to date with one segment, inside the warehouse.

Quicker than making the rows anew, of which a segment may have millions. Idempotent: what differs from the memberships
is found by asking.
"""

from typing import Final

from warehouse.client import Writer

_AT_ONCE: Final = 20_000

_DIFFERENT: Final = """SELECT profile FROM (
        SELECT profile, argMax(has(segments, {segment:String}), ver) AS shown FROM TABLE
        GROUP BY profile HAVING argMax(live, ver) = 1) AS rows
    LEFT JOIN (
        SELECT profile, argMax(member, ver) AS member FROM memberships WHERE segment = {segment:String}
        GROUP BY profile) AS told USING profile
    WHERE shown != member ORDER BY profile"""

_LATEST: Final = "SELECT * FROM TABLE WHERE profile IN {profiles:Array(UInt128)} ORDER BY ver DESC LIMIT 1 BY profile"

_SHOW_IN_VIEWS: Final = f"""INSERT INTO views
    WITH told AS (
        SELECT profile, argMax(member, ver) AS member, argMax(entered_at, ver) AS since FROM memberships
        WHERE segment = {{segment:String}} AND profile IN {{profiles:Array(UInt128)}} GROUP BY profile),
    latest AS ({_LATEST.replace("TABLE", "views")}),
    changed AS (
        SELECT profile, arraySort(arrayConcat(
            arrayFilter(held -> held.1 != {{segment:String}}, arrayZip(latest.segments, latest.entered)),
            if(told.member = 1, [({{segment:String}}, told.since)], []))) AS held
        FROM latest LEFT JOIN told USING profile)
    SELECT latest.* REPLACE ({{ver:UInt64}} AS ver, changed.held.1 AS segments, changed.held.2 AS entered)
    FROM latest INNER JOIN changed USING profile"""

_SHOW_IN_ROWS: Final = f"""INSERT INTO profile_rows
    WITH latest AS ({_LATEST.replace("TABLE", "profile_rows")}),
    seen AS ({_LATEST.replace("TABLE", "views")})
    SELECT latest.* REPLACE ({{ver:UInt64}} AS ver, seen.segments AS segments)
    FROM latest INNER JOIN seen USING profile"""


def show_members(writer: Writer, segment: str, version: int) -> None:
    """Make views and rows of live profiles say of a segment what the table of memberships says. Blocks.

    `version` of the rows to write: above that of the rows that are there.
    """
    for table, show in (("views", _SHOW_IN_VIEWS), ("profile_rows", _SHOW_IN_ROWS)):  # rows are made from views
        profiles = [row[0] for row in writer.rows(_DIFFERENT.replace("TABLE", table), {"segment": segment})]
        for start in range(0, len(profiles), _AT_ONCE):
            chunk = profiles[start : start + _AT_ONCE]
            writer.command(show, {"segment": segment, "profiles": chunk, "ver": version})
