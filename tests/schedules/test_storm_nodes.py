"""Nodes in weather: each event reaches whom it is meant for, in order, and questions end."""

from __future__ import annotations

import pytest

from actors.sim import Sim, explore

from .faults import of_nodes
from .faults.planting import Fault
from .storm import nodes

MAX_STEPS = 200_000
WITHIN = 100  # schedules in which a fault is found


@pytest.mark.sim(runs=100, max_steps=MAX_STEPS)
async def test_nodes_agree_whatever_the_weather(sim: Sim) -> None:
    await nodes.storm(sim)


@pytest.mark.parametrize(
    "fault",
    [
        of_nodes.others_are_told_before_the_turn,
        of_nodes.others_are_told_when_the_caller_goes_on,
        of_nodes.what_was_withdrawn_is_told,
        of_nodes.requests_are_done_side_by_side,
        of_nodes.joins_are_not_waited_for,
        of_nodes.exceptions_are_forgotten,
        of_nodes.nobody_is_everybody,
        of_nodes.local_is_forgotten,
        of_nodes.an_id_is_of_this_node,
        of_nodes.the_first_answer_is_enough,
        of_nodes.nodes_are_counted_once,
        of_nodes.a_question_is_never_forgotten,
        of_nodes.nodes_that_ask_clients_count_nobody,
        of_nodes.a_link_is_no_queue,
        of_nodes.a_link_says_twice,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_of_nodes_is_found(fault: Fault) -> None:
    with fault():
        report = explore(nodes.storm, runs=WITHIN, max_steps=MAX_STEPS)
    assert report.failure is not None
