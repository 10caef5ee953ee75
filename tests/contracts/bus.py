"""What every `stream_processors.flow.bus.Bus` must do. Subclass `BusContract` and give `wire`."""

from typing import Protocol

from stream_processors.flow.bus import Bus
from stream_processors.state.touches import EVENT, MERGE, SPLIT, Touch, Touches


class Wire(Protocol):
    """A bus, and its other end."""

    bus: Bus

    def received(self) -> dict[int, Touch]:
        """What has arrived since the last time, as one touch for each profile."""
        ...


def touches(*wanted: Touch) -> Touches:
    found = Touches()
    for one in wanted:
        found.add(one.profile, one.cause, one.nodes, one.inherited, former=one.former, anew=one.anew)
    return found


class BusContract:
    def test_nothing_sent_is_nothing_received(self, wire: Wire) -> None:
        wire.bus.send(Touches())
        assert wire.received() == {}

    def test_a_touch_arrives_whole_and_once(self, wire: Wire) -> None:
        sent = Touch(1, SPLIT, {5, 2**127}, {"vip": 1_700_000_000_000}, {3}, anew=True)
        wire.bus.send(touches(sent))
        assert wire.received() == {1: sent}
        assert wire.received() == {}

    def test_what_is_sent_twice_is_one_touch_of_both(self, wire: Wire) -> None:
        wire.bus.send(touches(Touch(1, EVENT, {5}), Touch(2, EVENT, {6})))
        wire.bus.send(touches(Touch(1, MERGE, {3}, {"vip": 5}, {4})))
        assert wire.received() == {1: Touch(1, MERGE, {5, 3}, {"vip": 5}, {4}), 2: Touch(2, EVENT, {6})}

    def test_what_is_passed_on_comes_back_or_arrives(self, wire: Wire) -> None:
        """Never both, and never neither: it may be all that is left of memberships."""
        sent = Touch(9, MERGE, {8}, {"vip": 7})
        back = wire.bus.pass_on(touches(sent)).by_profile
        arrived = wire.received()
        assert back | arrived == {9: sent}
        assert back.keys().isdisjoint(arrived)
