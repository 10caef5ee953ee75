"""The law of state: whatever the order, the copies, the partitions and the batches, the projections are the same."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from eventlog.port import Message
from identity.rules import IdentityRules
from producers.door import Refused, Verdict
from tests.properties.installation import House, MakeHouse
from tests.properties.pipeline_world import (
    CAPPED,
    FREE,
    LINGERS,
    Random,
    chunks,
    delivered,
    dump,
    law,
    make_door,
    make_events,
    make_segments,
)
from tests.properties.segments_world import DAY, SEEDS, T0


@law()
@given(
    seed=SEEDS,
    rules=st.sampled_from((FREE, CAPPED)),
    partitions=st.integers(1, 3),
    batch=st.sampled_from((2, 7, 5_000)),
    cached=st.sampled_from((1, 3, 100_000)),
)
def test_any_delivery_gives_the_same_state(
    make_house: MakeHouse, seed: int, rules: IdentityRules, partitions: int, batch: int, cached: int
) -> None:
    r = Random(seed)
    segments, events = make_segments(r), make_events(r, r.choice((5, 15, 40)), T0, make_door(rules))
    with make_house(now=T0 + DAY) as box:
        prepare(box, rules, segments)
        box.append(events)
        box.settle()
        once = dump(box)
    linger = r.choice(LINGERS)
    with make_house(now=T0 + DAY, partitions=partitions, batch=batch, cached_profiles=cached, linger=linger) as box:
        prepare(box, rules, segments)
        received = delivered(r, events)
        for chunk in chunks(r, received, 20):
            box.append(chunk)
            if r.random() < 0.7:
                box.settle()
            if r.random() < 0.2:
                box.forget_states()
        box.settle()
        again = dump(box)
        assert counted(box) == (len(ids(events)), len(accepted(received)) - len(ids(events)))
    del once["rows"], again["rows"]
    assert again == once


def prepare(box: House, rules: IdentityRules, segments: dict[str, dict[str, object]]) -> None:
    box.declare("rules", "rules", rules.model_dump(mode="json", exclude={"version"}))
    for name, rule in segments.items():
        box.declare("segment", name, {"rule": rule})
    box.settle()


def accepted(verdicts: Sequence[Verdict]) -> list[Message]:
    return [verdict for verdict in verdicts if not isinstance(verdict, Refused)]


def ids(verdicts: Sequence[Verdict]) -> set[bytes]:
    return {key for key, _ in accepted(verdicts)}


def counted(box: House) -> tuple[int, int]:
    """Unique events and copies."""
    [(unique, copies)] = box.writer.rows("SELECT countIf(dup = 0), countIf(dup = 1) FROM log_rows FINAL")
    return unique, copies
