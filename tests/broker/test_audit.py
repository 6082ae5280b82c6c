"""The server's own account, answers, waiting, and the end of an audit."""

from __future__ import annotations

import attrs
import pytest

from broker.audit import AuditFailed, RoomAudit
from broker.values.statistics import Statistics

from .auditing import A, B, D, breaks, inside


class Clock:
    """Seconds, set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# The server's own account.


def test_who_is_told_that_he_is_in_is_in() -> None:
    audit = RoomAudit()
    ann, bob = audit.client("ann"), audit.client("bob", member="sid-of-bob")
    audit.server.joined("r", "sid-of-bob")
    bob.joined("r")
    breaks("told", lambda: ann.joined("r"), "ann")


def test_who_is_told_that_he_is_out_is_out() -> None:
    audit = RoomAudit()
    ann = audit.client("ann")
    audit.server.joined("r", ann)
    ann.joined("r")
    breaks("told", lambda: ann.left("r"))


def test_being_told_too_early_shows_though_the_room_was_unknown() -> None:
    audit = RoomAudit()
    ann = audit.client("ann")
    ann.joined("r")
    breaks("told", lambda: audit.server.joined("r", ann))


def test_being_told_of_what_never_happens_shows_at_the_end() -> None:
    audit = RoomAudit()
    ann, bob = audit.client("ann"), audit.client("bob")
    audit.server.joined("elsewhere", bob)
    bob.joined("elsewhere")
    ann.joined("r")
    breaks("told", audit.finish, "ann")


def test_there_is_one_leave_for_each_join() -> None:
    audit = RoomAudit()
    audit.server.joined("r", "ann")
    breaks("balance", lambda: audit.server.joined("r", "ann"), "two joins")
    audit.server.left("r", "ann")
    breaks("balance", lambda: audit.server.left("r", "ann"), "second leave")
    breaks("balance", lambda: audit.server.left("r", "bob"), "bob")


def test_who_is_cut_off_is_let_out() -> None:
    audit = RoomAudit()
    ann, bob = audit.client("ann"), audit.client("bob")
    for client in (ann, bob):
        audit.server.joined("r", client)
        client.joined("r")
    ann.cut_off()
    breaks("balance", audit.finish, "ann")


def test_who_is_still_there_may_be_in_at_the_end() -> None:
    audit = RoomAudit()
    ann, bob = audit.client("ann"), audit.client("bob")
    for client in (ann, bob):
        audit.server.joined("r", client)
        client.joined("r")
    audit.server.left("r", bob)
    bob.left("r")
    audit.finish()


def test_a_room_has_one_life_at_a_time_and_nobody_in_it_at_its_end() -> None:
    audit = RoomAudit()
    server = audit.server
    server.opened("r", epoch=1)
    breaks("balance", lambda: server.opened("r", epoch=2), "second one")
    server.joined("r", "ann")
    breaks("balance", lambda: server.closed("r"), "ann")
    server.left("r", "ann")
    server.closed("r")
    breaks("balance", lambda: server.closed("r"))
    breaks("balance", lambda: server.joined("r", "ann"), "open")


def test_each_life_of_a_room_has_an_epoch_of_its_own() -> None:
    server = RoomAudit().server
    for room in ("r", "s"):
        server.opened(room, epoch=1)
        server.closed(room)
    server.opened("r", epoch=2)
    server.closed("r")
    breaks("agreement", lambda: server.opened("r", epoch=1))


def test_an_empty_room_ends() -> None:
    audit = RoomAudit()
    audit.server.opened("r")
    breaks("nothing left", audit.finish, "r")


# Answers.


def test_each_request_is_answered_once() -> None:
    audit = RoomAudit()
    ann = audit.client("ann")
    ann.asked("q")
    ann.answered("q")
    breaks("one answer", lambda: ann.answered("q"))
    breaks("one answer", lambda: ann.answered("never asked"))


@pytest.mark.parametrize("kind", ["asked", "sent"])
def test_a_request_that_is_never_answered_shows_at_the_end(kind: str) -> None:
    audit = RoomAudit()
    (ann,) = inside(audit, "ann")
    if kind == "asked":
        ann.asked("q")
        with pytest.raises(ValueError, match="identity"):
            ann.asked("q")
    else:
        ann.sent("r", "q", ack=True)
    breaks("one answer", audit.finish, "ann", "'q'")


def test_the_end_of_the_connection_is_an_answer() -> None:
    audit = RoomAudit()
    (ann,) = inside(audit, "ann")
    ann.asked("q")
    ann.sent("r", A, ack=True)
    ann.cut_off()
    audit.finish()


# The end.


@attrs.frozen
class Server:
    figures: Statistics

    def statistics(self) -> Statistics:
        return self.figures


@pytest.mark.parametrize(
    "name",
    [
        "connections",
        "sockets",
        "rooms",
        "memberships",
        "pending_acks",
        "mailbox_messages",
        "outbox_bytes",
        "outbox_packets",
    ],
)
def test_nothing_is_left_in_the_servers_statistics(name: str) -> None:
    left = attrs.evolve(Statistics(namespaces=3, tasks=3), **{name: 2})
    breaks("nothing left", lambda: RoomAudit().finish(Server(left)), name, "2")


def test_what_counts_since_the_start_is_not_left_over() -> None:
    RoomAudit().finish(Server(Statistics(namespaces=2, tasks=2, dropped=7, slow_disconnects=1)))


def test_compared_with_before_tasks_count() -> None:
    before = Statistics(namespaces=1, tasks=1)
    RoomAudit().finish(Server(before), before=before)
    after = Server(Statistics(namespaces=1, tasks=2))
    breaks("nothing left", lambda: RoomAudit().finish(after, before=before), "tasks")


def test_what_is_left_of_any_other_server_is_told_by_name() -> None:
    RoomAudit().finish(left={"rooms": [], "sessions": {}, "bytes": 0})
    breaks("nothing left", lambda: RoomAudit().finish(left={"rooms": ["r"]}), "rooms", "['r']")
    breaks("nothing left", lambda: RoomAudit().finish(left={"bytes": 1.5}), "bytes")


def test_a_failure_that_was_swallowed_is_raised_again_at_the_end() -> None:
    audit = RoomAudit()
    breaks("balance", lambda: audit.server.left("r", "ann"))
    with pytest.raises(AuditFailed) as failed:
        audit.finish()
    assert [failed.value] == audit.failures


# Waiting.


def test_a_healthy_client_gets_its_answer_in_time() -> None:
    clock = Clock()
    audit = RoomAudit(clock, patience=5)
    ann = audit.client("ann")
    ann.asked("q")
    clock.now = 5
    ann.answered("q")
    ann.asked("r")
    clock.now = 10.5
    breaks("isolation", lambda: ann.answered("r"), "ann", "'r'", "5.5 s")


def test_waiting_for_too_long_shows_without_an_answer() -> None:
    clock = Clock()
    audit = RoomAudit(clock, patience=5)
    ann, bob = inside(audit, "ann", "bob")
    ann.sent("r", A, ack=True)
    clock.now = 4
    audit.check()
    clock.now = 6
    breaks("isolation", lambda: bob.saw("r", D), "ann")


def test_a_healthy_client_gets_messages_in_time() -> None:
    clock = Clock()
    audit = RoomAudit(clock, patience=5)
    ann, bob = inside(audit, "ann", "bob")
    ann.sent("r", A)
    ann.sent("r", B)
    clock.now = 5
    bob.saw("r", A)
    clock.now = 6
    breaks("isolation", lambda: bob.saw("r", B), "bob", repr(B))


def test_a_client_that_is_not_healthy_may_wait_and_be_waited_for() -> None:
    clock = Clock()
    audit = RoomAudit(clock, patience=5)
    ann, bob = inside(audit, "ann", "bob")
    ann.healthy = False
    ann.asked("q")
    ann.sent("r", A)
    bob.sent("r", D)
    late = audit.client("late")
    late.joining("r")
    clock.now = 9
    bob.saw("r", A)
    ann.saw("r", D)
    late.saw("r", D)  # what was said before it came
    ann.answered("q")
    audit.finish()


def test_patience_needs_a_clock() -> None:
    with pytest.raises(ValueError, match="clock"):
        RoomAudit(patience=5)


def test_what_is_measured_stays_within_its_limit() -> None:
    audit = RoomAudit()
    audit.within("the mailbox of 'r'", 1024, 1024)
    breaks("bounds", lambda: audit.within("the mailbox of 'r'", 1025, 1024), "mailbox", "1025")


# What a failure shows.


def test_a_failure_shows_the_last_reports() -> None:
    ann, bob = inside(RoomAudit(), "ann", "bob")
    ann.sent("r", A)
    bob.saw("r", A, at=(1, 1))
    with pytest.raises(AuditFailed) as failed:
        bob.saw("r", A, at=(1, 1))
    assert failed.value.__notes__[0].splitlines()[-3:] == [
        f"  ann sent 'r', {A!r}",
        f"  bob saw {A!r}, (1, 1)",
        f"  bob saw {A!r}, (1, 1)",
    ]


def test_a_name_belongs_to_one_connection() -> None:
    audit = RoomAudit()
    ann = audit.client("ann")
    with pytest.raises(ValueError, match="ann"):
        audit.client("ann")
    ann.cut_off()
    assert audit.client("ann") is not ann
