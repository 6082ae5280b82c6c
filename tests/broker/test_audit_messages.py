"""What clients see: what breaks an invariant raises, and what only looks like it does not."""

from __future__ import annotations

import pytest

from broker.audit import RoomAudit

from .auditing import A, B, C, D, breaks, inside

# Order.


def test_positions_rise() -> None:
    (ann,) = inside(RoomAudit(), "ann")
    ann.saw("r", A, at=(1, 1))
    ann.saw("r", B, at=(1, 2))
    breaks("total order", lambda: ann.saw("r", C, at=(1, 2)), "ann", "(1, 2)")


def test_a_stay_has_one_epoch() -> None:
    (ann,) = inside(RoomAudit(), "ann")
    ann.saw("r", A, at=(1, 1))
    breaks("total order", lambda: ann.saw("r", B, at=(2, 2)))


def test_a_new_epoch_begins_where_it_likes() -> None:
    audit = RoomAudit()
    (ann,) = inside(audit, "ann")
    ann.saw("r", A, at=(1, 7))
    ann.left("r")
    ann.joined("r", at=(2, 0))
    ann.saw("r", B, at=(2, 1))
    audit.finish()


def test_a_position_is_one_message_for_everybody() -> None:
    ann, bob = inside(RoomAudit(), "ann", "bob")
    ann.saw("r", A, at=(1, 1))
    breaks("agreement", lambda: bob.saw("r", B, at=(1, 1)), "bob", "as ann did", repr(A), repr(B))


def test_a_message_has_one_position() -> None:
    ann, bob = inside(RoomAudit(), "ann", "bob")
    ann.saw("r", A, at=(1, 1))
    breaks("agreement", lambda: bob.saw("r", A, at=(1, 2)))


def test_the_same_position_in_another_room_or_epoch_is_another_one() -> None:
    audit = RoomAudit()
    ann, bob, carol = inside(audit, "ann", "bob", "carol")
    bob.joined("other")
    ann.saw("r", A, at=(1, 1))
    bob.saw("other", B, at=(1, 1))
    carol.saw("r", C, at=(2, 1))
    audit.finish()


def test_two_clients_agree_on_the_order_of_what_has_no_position() -> None:
    ann, bob = inside(RoomAudit(), "ann", "bob")
    ann.saw("r", A)
    ann.saw("r", D)
    bob.saw("r", D)
    breaks("one order", lambda: bob.saw("r", A), "bob", f"{A!r} before {D!r} (ann)")


def test_three_clients_agree_though_no_two_have_two_messages_in_common() -> None:
    ann, bob, carol = inside(RoomAudit(), "ann", "bob", "carol")
    ann.saw("r", "x")
    ann.saw("r", "y")
    bob.saw("r", "y")
    bob.saw("r", "z")
    carol.saw("r", "z")
    breaks("one order", lambda: carol.saw("r", "x"), "(ann)", "(bob)")


def test_clients_who_see_different_parts_of_one_order_agree() -> None:
    audit = RoomAudit()
    ann, bob, carol = inside(audit, "ann", "bob", "carol")
    for client, seen in ((ann, "ace"), (bob, "bce"), (carol, "abd"), (ann, "f"), (bob, "d")):
        for message in seen:
            client.saw("r", message)
    audit.finish()


def test_order_over_several_rooms_is_asked_for() -> None:
    for across in (False, True):
        audit = RoomAudit(across_rooms=across)
        ann, bob = inside(audit, "ann", "bob")
        for client in (ann, bob):
            client.joined("s")
        ann.saw("r", A)
        ann.saw("s", D)
        bob.saw("s", D)
        if across:
            breaks("one order", lambda bob=bob: bob.saw("r", A))  # type: ignore[misc]
        else:
            bob.saw("r", A)
            audit.finish()


def test_what_one_client_sent_is_seen_in_its_order() -> None:
    ann, bob = inside(RoomAudit(), "ann", "bob")
    ann.sent("r", A)
    ann.sent("r", B)
    bob.saw("r", B)
    breaks("fifo", lambda: bob.saw("r", A), "bob", "ann")


def test_what_was_sent_to_two_rooms_may_change_places_unless_order_goes_across() -> None:
    for across in (False, True):
        audit = RoomAudit(across_rooms=across)
        ann, bob = inside(audit, "ann", "bob")
        bob.joined("s")
        ann.sent("r", A)
        ann.sent("s", B)
        bob.saw("s", B)
        if across:
            breaks("fifo", lambda bob=bob: bob.saw("r", A))  # type: ignore[misc]
        else:
            bob.saw("r", A)
            audit.finish()


# Gaps.


def test_a_position_that_is_left_out_is_a_gap() -> None:
    (ann,) = inside(RoomAudit(), "ann")
    ann.saw("r", A, at=(1, 1))
    breaks("no gap", lambda: ann.saw("r", C, at=(1, 3)), "ann", "(1, 2)")


def test_a_gap_right_behind_the_join_is_one() -> None:
    ann = RoomAudit().client("ann")
    ann.joined("r", at=(1, 4))
    breaks("no gap", lambda: ann.saw("r", A, at=(1, 6)))


def test_a_gap_right_before_the_leave_is_one() -> None:
    (ann,) = inside(RoomAudit(), "ann")
    ann.saw("r", A, at=(1, 1))
    breaks("no gap", lambda: ann.left("r", at=(1, 2)))


def test_a_gap_with_notice_is_none() -> None:
    audit = RoomAudit()
    (ann,) = inside(audit, "ann")
    ann.saw("r", A, at=(1, 1))
    ann.warned("r")
    ann.saw("r", C, at=(1, 9))
    ann.left("r", at=(1, 9))
    audit.finish()


def test_a_gap_between_two_stays_is_none() -> None:
    audit = RoomAudit()
    (ann,) = inside(audit, "ann")
    ann.saw("r", A, at=(1, 1))
    ann.left("r", at=(1, 1))
    ann.joined("r", at=(1, 5))
    ann.saw("r", B, at=(1, 6))
    audit.finish()


def test_without_positions_a_gap_shows_when_another_has_seen_what_is_missing() -> None:
    ann, bob, carol = inside(RoomAudit(), "ann", "bob", "carol")
    for message in (A, B, C):
        ann.sent("r", message)
    bob.saw("r", A)
    bob.saw("r", C)  # perhaps the server did not accept B
    carol.saw("r", A)
    breaks("no gap", lambda: carol.saw("r", B), "bob", repr(B))


def test_without_positions_a_gap_shows_when_another_had_seen_what_is_missing() -> None:
    ann, bob, carol = inside(RoomAudit(), "ann", "bob", "carol")
    for message in (A, B, C):
        ann.sent("r", message)
    carol.saw("r", B)
    bob.saw("r", A)
    breaks("no gap", lambda: bob.saw("r", C), "bob", repr(B))


def test_without_positions_a_gap_shows_when_what_is_missing_is_acknowledged() -> None:
    ann, bob = inside(RoomAudit(), "ann", "bob")
    for message in (A, B, C):
        ann.sent("r", message)
    bob.saw("r", A)
    bob.saw("r", C)
    breaks("no gap", lambda: ann.acked(B), "bob")


def test_what_nobody_got_or_what_is_not_for_everybody_is_no_gap() -> None:
    audit = RoomAudit()
    ann, bob = inside(audit, "ann", "bob")
    ann.sent("r", A)
    ann.sent("r", B, ack=True)
    ann.sent("r", C, but={"bob"})
    ann.sent("r", "last")
    bob.saw("r", A)
    ann.rejected(B)
    ann.saw("r", A)
    ann.saw("r", C)
    bob.saw("r", "last")
    audit.finish()


# Membership.


def test_nothing_comes_before_the_join() -> None:
    audit = RoomAudit()
    bob = audit.client("bob")
    breaks("membership", lambda: bob.saw("r", A), "bob", "before it joined")


def test_nothing_comes_after_the_leave() -> None:
    (bob,) = inside(RoomAudit(), "bob")
    bob.left("r")
    breaks("membership", lambda: bob.saw("r", A), "after it left")


def test_nothing_comes_after_the_end() -> None:
    (bob,) = inside(RoomAudit(), "bob")
    bob.cut_off()
    breaks("membership", lambda: bob.saw(None, A), "after its end")


def test_nobody_is_told_twice_that_he_is_in() -> None:
    (bob,) = inside(RoomAudit(), "bob")
    breaks("membership", lambda: bob.joined("r"))


def test_nobody_gets_what_he_is_excepted_from() -> None:
    ann, bob = inside(RoomAudit(), "ann", "bob")
    ann.sent("r", A, but=["bob"])
    breaks("membership", lambda: bob.saw("r", A))


def test_between_request_and_answer_messages_may_come() -> None:
    audit = RoomAudit()
    ann = audit.client("ann")
    ann.joining("r")
    ann.saw("r", A)
    ann.joined("r")
    ann.leaving("r")
    ann.joining("r")  # it does not wait for the answer
    ann.saw("r", B)
    ann.left("r")
    ann.saw("r", C)
    ann.joined("r")
    ann.left("r")
    audit.finish()
    breaks("membership", lambda: ann.saw("r", D))


def test_a_join_that_was_refused_is_none() -> None:
    audit = RoomAudit()
    ann = audit.client("ann")
    ann.joining("r")
    ann.join_refused("r")
    breaks("membership", lambda: ann.saw("r", A))


def test_the_room_of_a_message_is_known_from_its_sender() -> None:
    audit = RoomAudit()
    ann, _ = inside(audit, "ann", "bob")
    carol = audit.client("carol")
    ann.sent("r", A)
    ann.saw(None, A)
    carol.saw(None, "for all")
    breaks("membership", lambda: carol.saw(None, A))


# Once.


def test_nobody_sees_a_message_twice() -> None:
    (ann,) = inside(RoomAudit(), "ann")
    ann.saw("r", A)
    breaks("at most once", lambda: ann.saw("r", A), "ann", repr(A))


def test_a_new_connection_may_see_it_again() -> None:
    audit = RoomAudit()
    (ann,) = inside(audit, "ann")
    ann.saw("r", A)
    ann.cut_off()
    (again,) = inside(audit, "ann")
    again.saw("r", A)
    audit.finish()


def test_there_is_one_ack_for_each_message() -> None:
    ann, bob = inside(RoomAudit(), "ann", "bob")
    ann.sent("r", A, ack=True)
    ann.acked(A)
    breaks("ack once", lambda: ann.acked(A))
    breaks("ack once", lambda: ann.rejected(A))
    breaks("ack once", lambda: bob.acked(A))
    breaks("ack once", lambda: bob.acked("never sent"))


def test_a_message_is_sent_once() -> None:
    ann, bob = inside(RoomAudit(), "ann", "bob")
    ann.sent("r", A)
    with pytest.raises(ValueError, match="identity of its own"):
        bob.sent("r", A)


# Acks.


def test_what_was_acknowledged_has_come_to_everybody_who_stays() -> None:
    audit = RoomAudit()
    ann, _ = inside(audit, "ann", "bob")
    ann.sent("r", A)
    ann.acked(A)
    ann.saw("r", A)
    breaks("ack", audit.finish, "bob", repr(A))


def test_an_ack_may_overtake_the_message() -> None:
    audit = RoomAudit()
    ann, bob = inside(audit, "ann", "bob")
    ann.sent("r", A)
    ann.acked(A)
    for client in (ann, bob):
        client.saw("r", A)
    bob.left("r")
    audit.finish()


def test_who_asks_to_leave_after_the_ack_must_have_seen_it() -> None:
    ann, bob = inside(RoomAudit(), "ann", "bob")
    ann.sent("r", A)
    ann.acked(A)
    bob.leaving("r")
    breaks("ack", lambda: bob.left("r"), "bob")


def test_who_leaves_by_the_servers_account_after_the_ack_must_have_seen_it() -> None:
    audit = RoomAudit()
    ann, bob = audit.client("ann"), audit.client("bob")
    for client in (ann, bob):
        audit.server.joined("r", client)
        client.joined("r")
    ann.sent("r", A)
    ann.acked(A)
    audit.server.left("r", bob)
    breaks("ack", lambda: bob.left("r"), "bob")


def test_who_came_late_left_early_was_cut_off_or_is_excepted_need_not_have_seen_it() -> None:
    audit = RoomAudit()
    ann, early, cut, excepted = inside(audit, "ann", "early", "cut", "excepted")
    unclear = audit.client("unclear")
    unclear.joined("r")
    ann.sent("r", A, but=["ann", "excepted"])
    late = audit.client("late")
    late.joined("r")
    early.leaving("r")
    ann.acked(A)
    early.left("r")
    cut.cut_off()
    unclear.left("r")  # nobody knows whether it left before
    audit.finish()
    assert excepted.is_in("r")
