"""What every `stream_processors.state.directory.Directory` must do. Subclass `DirectoryContract` and give `place`."""

from typing import Protocol

from eventlog.port import Record
from identity.nodes import to_hex
from producers.door import Refused, Verdict
from producers.incoming import Incoming
from registry.models import Source
from stream_processors.parse.batch import Batch, parse
from stream_processors.rows.events import seen_identifiers
from stream_processors.state.directory import Directory, News
from tests.properties.pipeline_world import make_door
from tests.properties.segments_world import T0

_SHOP = Source(id="shop")


class Place(Protocol):
    """A directory, and identity behind it."""

    directory: Directory

    def publish(self, batch: Batch, news: News) -> None:
        """Tell identity the news, and let it answer."""
        ...

    def command(self, kind: str, **body: object) -> None:
        """A steward's, seen to by identity."""
        ...


def event(id: str, *identifiers: tuple[str, str], at: int = T0) -> Verdict:
    incoming = Incoming(
        type="page.viewed", id=id, source=_SHOP, channel="web", received_at=at, identifiers=list(identifiers)
    )
    return make_door().admit(incoming, b"{}")


def batch_of(*events: Verdict, first: int = 0) -> Batch:
    """At offsets from `first` on, of partition 0."""
    accepted = [one for one in events if not isinstance(one, Refused)]
    return parse([Record(0, n, key, value, T0) for n, (key, value) in enumerate(accepted, first)])


def take_in(place: Place, *events: Verdict) -> News:
    """A batch of events, told where they are news."""
    batch = batch_of(*events)
    news = place.directory.sort(batch, seen_identifiers(batch))
    place.publish(batch, news)
    return news


def node(kind: str, value: str) -> int:
    return batch_of(event("n", (kind, value))).nodes[0][0]


U1, U2 = ("user_id", "u1"), ("user_id", "u2")
MAIL, CARD = ("email", "a@example.com"), ("loyalty_card", "c1")


class DirectoryContract:
    def test_what_is_unknown_is_news_and_what_is_known_is_not(self, place: Place) -> None:
        assert take_in(place, event("1", U1, MAIL)).told == [0]
        again = take_in(place, event("2", U1, MAIL, at=T0 + 5))
        assert again.told == []
        [home] = {*place.directory.homes([node(*U1), node(*MAIL)]).values()}
        assert {profile: touch.nodes for profile, touch in again.touches.by_profile.items()} == {
            home: {node(*U1), node(*MAIL)}
        }

    def test_a_batch_tells_its_evidence_once(self, place: Place) -> None:
        assert take_in(place, event("1", U1, MAIL), event("2", U1, MAIL, at=T0 + 1)).told == [0]

    def test_an_earlier_receipt_is_news(self, place: Place) -> None:
        """Whoever is first founds the profile."""
        take_in(place, event("1", U1, MAIL))
        assert take_in(place, event("2", U1, MAIL, at=T0 - 5)).told == [0]

    def test_a_new_link_between_known_ones_is_news(self, place: Place) -> None:
        take_in(place, event("1", U1), event("2", CARD))
        assert take_in(place, event("3", U1, CARD, at=T0 + 1)).told == [0]
        homes = place.directory.homes([node(*U1), node(*CARD)])
        assert len({*homes.values()}) == 1

    def test_nobody_lives_where_nothing_was_heard(self, place: Place) -> None:
        assert place.directory.homes([node(*U2)]) == {}
        assert place.directory.members([node(*U2)]) == {}

    def test_members_are_the_nodes_of_a_profile(self, place: Place) -> None:
        take_in(place, event("1", U1, MAIL), event("2", U2))
        homes = place.directory.homes([node(*U1), node(*U2)])
        members = place.directory.members(homes.values())
        assert {profile: {*nodes} for profile, nodes in members.items()} == {
            homes[node(*U1)]: {node(*U1), node(*MAIL)},
            homes[node(*U2)]: {node(*U2)},
        }

    def test_a_merge_moves_them_and_a_split_brings_them_back(self, place: Place) -> None:
        take_in(place, event("1", U1, MAIL), event("2", U2, at=T0 + 1))
        nodes = [node(*U1), node(*MAIL), node(*U2)]
        before = place.directory.homes(nodes)
        place.command("merge", a=to_hex(nodes[0]), b=to_hex(nodes[2]))
        [merged] = {*place.directory.homes(nodes).values()}
        assert {*place.directory.members([merged])[merged]} == {*nodes}
        place.command("split", nodes=[to_hex(nodes[2])])
        assert place.directory.homes(nodes) == before

    def test_a_forgotten_answer_is_the_same_answer(self, place: Place) -> None:
        take_in(place, event("1", U1, MAIL))
        for _ in range(2):
            assert take_in(place, event("2", U1, MAIL, at=T0 + 5)).told == []
            place.directory.forget()
