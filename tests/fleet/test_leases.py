"""The leases of one relay: where each counts, and when it is to be renewed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis.strategies import DataObject, data, integers, lists, sampled_from

from relay.fleet.leases import Leased, Leases, Places


def lease(name: str, freed: list[tuple[str, Places]], leases: Leases) -> Leased:
    return Leased(
        name,
        ("holds",),
        ("sessions", "others"),
        lambda each, places: freed.append((each.name, places)),
        leases.drop,
    )


def test_a_hold_counts_as_a_hold_until_it_is_a_session_and_is_freed_once() -> None:
    freed: list[tuple[str, Places]] = []
    leases = Leases(10)
    one = lease("one", freed, leases)
    leases.add(one, 0)
    places = [one.places]
    for _ in range(2):
        one.opened()
        places.append(one.places)
    assert places == [("holds", "sessions", "others"), *[("sessions", "others")] * 2]
    assert freed == [("one", ("holds",))]
    for _ in range(2):
        one.end()
    assert freed == [("one", ("holds",)), ("one", ("sessions", "others"))]
    assert len(leases) == 0


def test_a_hold_that_ends_is_freed_of_all_and_opens_no_more() -> None:
    freed: list[tuple[str, Places]] = []
    leases = Leases(10)
    one = lease("one", freed, leases)
    one.end()
    one.opened()
    assert freed == [("one", ("holds", "sessions", "others"))]


def test_a_lease_that_only_counts_as_a_session_frees_nothing_when_it_opens() -> None:
    freed: list[Places] = []
    one = Leased("one", (), ("sessions",), lambda _, places: freed.append(places), lambda _: None)
    one.opened()
    assert freed == []


def test_what_the_store_may_not_know_comes_first_and_is_told_once() -> None:
    leases = Leases(10)
    known, unknown = (lease(name, [], leases) for name in ("known", "unknown"))
    leases.add(known, 0)
    leases.add_unknown(unknown)
    assert leases.take(1, 9) == [unknown]
    assert leases.take(1, 9) == []
    assert leases.take(10, 9) == [known]
    assert leases.take(11, 9) == [unknown]
    leases.forget()
    assert leases.take(11, 1) == [known]
    assert leases.take(11, 9) == [unknown]


@settings(max_examples=50)
@given(data())
def test_each_lease_is_renewed_in_time_and_none_that_is_over(data: DataObject) -> None:
    draw = data.draw
    leases, renewed, now = Leases(10), dict[Leased, float](), 0
    for step in draw(lists(sampled_from(["add", "unknown", "end", "forget"]), max_size=30)):
        now += draw(integers(0, 4))
        if step in ("add", "unknown"):
            new = lease(str(len(renewed)), [], leases)
            leases.add(new, now) if step == "add" else leases.add_unknown(new)
            renewed[new] = now
        elif step == "end" and renewed:
            over = draw(sampled_from([*renewed]))
            over.end()
            del renewed[over]
        elif step == "forget":
            leases.forget()
            renewed = dict.fromkeys(renewed, -10)
        while taken := leases.take(now, 2):
            assert len(taken) <= 2
            renewed |= dict.fromkeys(taken, now)
        assert len(leases) == len(renewed)
        assert all(now - last < 10 for last in renewed.values())
