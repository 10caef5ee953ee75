"""Views in memory: the newest wins, what is not in the warehouse is never dropped, and memory is bounded."""

from stream_processors.views.recent import RecentViews, View

A, B, C = 1, 2, 3


def view(ver: int, text: str = "{}") -> View:
    return View(ver, True, text, [])


def test_the_newest_is_found_wherever_its_row_is() -> None:
    recent = RecentViews()
    for ver in (1, 2, 3):
        recent.show({A: ver}, {A: view(ver)})
        assert recent.view(A) == view(ver)
        assert recent.owner(A) == ver
        if ver < 3:
            recent.landing()
        if ver == 1:
            recent.landed()
    recent.landing()
    recent.landed()
    assert recent.view(A) == view(3)


def test_what_was_never_shown_is_for_the_warehouse_to_say() -> None:
    recent = RecentViews()
    recent.show({A: 0}, {})
    assert recent.owner(A) == 0, "nobody's"
    assert recent.owner(B) is None
    assert recent.view(B) is None


def test_only_what_has_landed_is_dropped_and_the_oldest_first() -> None:
    recent = RecentViews(most=2)
    recent.show({}, {n: view(1) for n in (A, B, C)})
    recent.landing()
    assert all(recent.view(n) for n in (A, B, C))
    recent.show({}, {A: view(2)})
    recent.landed()
    assert [n for n in (A, B, C) if recent.view(n)] == [A, B, C]
    recent.landing()
    recent.landed()
    assert [n for n in (A, B, C) if recent.view(n)] == [A, C]


def test_forgetting() -> None:
    recent = RecentViews()
    recent.show({A: B}, {B: view(1)})
    recent.landing()
    recent.landed()
    recent.forget(owners=False)
    assert (recent.view(B), recent.owner(A)) == (None, B)
    recent.forget(owners=True)
    assert recent.owner(A) is None
