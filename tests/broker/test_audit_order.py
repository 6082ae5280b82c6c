"""The merged order of an audit, against the definition: is there an order that fits all views?"""

from __future__ import annotations

import graphlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audit.order import MergedOrder

Views = dict[str, list[int]]


def fits(views: Views) -> bool:
    sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter()
    for view in views.values():
        for first, second in pairwise(view):
            sorter.add(second, first)
    try:
        sorter.prepare()
    except graphlib.CycleError:
        return False
    return True


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), max_size=60))
def test_a_message_is_refused_exactly_when_no_order_would_fit(seen: list[tuple[str, int]]) -> None:
    order = MergedOrder()
    views: Views = {}
    for viewer, message in seen:
        view = views.setdefault(viewer, [])
        if message in view:
            continue
        cycle = order.see(viewer, message)
        if fits(views | {viewer: [*view, message]}):
            assert cycle == []
            view.append(message)
            continue
        assert cycle[-1] == (view[-1], message, viewer)
        for (first, second, by), (then, _, _) in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
            assert second == then  # a closed chain
            if by != viewer or (first, second) != (view[-1], message):
                assert views[by].index(second) == views[by].index(first) + 1


@given(st.permutations(range(12)), st.lists(st.sets(st.integers(0, 11)), max_size=5), st.randoms())
def test_parts_of_one_order_always_fit(
    whole: list[int], parts: list[set[int]], random: st.DataObject
) -> None:
    order = MergedOrder()
    views = {str(name): [each for each in whole if each in part] for name, part in enumerate(parts)}
    while any(views.values()):
        name = random.choice([name for name, view in views.items() if view])  # type: ignore[attr-defined]
        assert order.see(name, views[name].pop(0)) == []


def test_who_sees_the_order_there_is_costs_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sees it, and however many have seen it before: nothing is searched for."""

    def search(*_args: object) -> None:
        raise AssertionError

    monkeypatch.setattr(MergedOrder, "_make_room", search)
    order = MergedOrder()
    for message in range(100):
        for viewer in range(100):
            assert order.see(str(viewer), message) == []
