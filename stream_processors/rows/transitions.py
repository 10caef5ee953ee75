"""Published transitions -> Arrow tables of transitions and memberships. Pure: the caller writes them."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from identity.nodes import from_hex
from stream_processors.state.teller import Published
from warehouse.client import fixed16


def transition_rows(published: Sequence[Published]) -> pa.Table:
    transitions = [one.transition for one in published]
    stamp = pa.timestamp("ms", "UTC")
    return pa.table(
        {
            "profile": fixed16([from_hex(one.profile) for one in transitions]),
            "segment": pa.array([one.segment for one in transitions], pa.string()),
            "off": pa.array([one.offset for one in published], pa.uint64()),
            "kind": pa.array([one.kind for one in transitions], pa.string()),
            "at": pa.array([one.at for one in transitions], stamp),
            "cause": pa.array([one.cause for one in transitions], pa.string()),
            "entered_at": pa.array([one.entered_at for one in transitions], stamp),
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
