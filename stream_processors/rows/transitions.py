"""Published transitions -> Arrow tables of transitions and memberships. Pure: the caller writes them."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from identity.nodes import from_hex
from warehouse.client import fixed16

Numbered = tuple[int, dict[str, Any]]
"""A transition with its offset in simorgh.segments."""


def transition_rows(records: Sequence[tuple[int, dict[str, Any]]]) -> pa.Table:
    stamp = pa.timestamp("ms", "UTC")
    return pa.table(
        {
            "profile": fixed16([from_hex(r["profile"]) for _, r in records]),
            "segment": pa.array([r["segment"] for _, r in records], pa.string()),
            "off": pa.array([offset for offset, _ in records], pa.uint64()),
            "kind": pa.array([r["kind"] for _, r in records], pa.string()),
            "at": pa.array([r["at"] for _, r in records], stamp),
            "cause": pa.array([r["cause"] for _, r in records], pa.string()),
            "entered_at": pa.array([r["entered_at"] for _, r in records], stamp),
        }
    )


def membership_rows(transitions: pa.Table) -> pa.Table:
    """Of `transition_rows`."""
    return pa.table(
        {
            **{name: transitions[name] for name in ("segment", "profile", "entered_at")},
            "member": pc.equal(transitions["kind"], "entered").cast(pa.uint8()),
            "ver": transitions["off"],
        }
    )
