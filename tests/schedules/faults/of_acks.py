"""Faults in what is expected of clients that were asked, and in when it is no longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

from actors import Reply
from broker.rooms import survey
from broker.rooms.acks import Acks
from broker.rooms.namespace_routes import NamespaceRoutes
from broker.rooms.survey import Respondent, Survey

from .planting import replaced


@contextmanager
def the_deadline_leaves_the_tables_as_they_are() -> Iterator[None]:
    """Call those missing who have not answered, and go on expecting them."""

    def miss(self: Survey, respondent: Respondent) -> None:
        self._asked.pop(respondent.id, None)
        self._missing.add(respondent.id)
        self._see_whether_complete()

    with replaced(Survey, "miss", miss):
        yield


@contextmanager
def who_goes_is_waited_for_until_the_deadline() -> Iterator[None]:
    """Tell no survey that a socket has gone."""
    with replaced(survey._Share, "fail", lambda _share, _error: None):
        yield


@contextmanager
def a_cancelled_survey_is_still_expected() -> Iterator[None]:
    """Close a survey only when it has come to its end."""
    right_answered, right_close = Survey.answered, Survey.close

    async def answered(self: Survey, deadline: float) -> None:
        await right_answered(self, deadline)
        right_close(self)

    with replaced(Survey, "answered", answered), replaced(Survey, "close", lambda _survey: None):
        yield


@contextmanager
def cancelled_acks_stay_pending() -> Iterator[None]:
    """Forget an ack only when it has come."""

    @contextmanager
    def awaited(self: Acks, id_: int) -> Iterator[Reply[list[Any]]]:
        reply: Reply[list[Any]] = Reply()
        self.expect(id_, reply)
        yield reply
        self.forget(id_)

    with replaced(Acks, "awaited", awaited):
        yield


@contextmanager
def each_has_a_few_ids_of_its_own() -> Iterator[None]:
    """Give ids again, while their last question may be under way."""
    right = NamespaceRoutes.next_ack_id

    with replaced(NamespaceRoutes, "next_ack_id", lambda actor: right(actor) % 3):
        yield


@contextmanager
def an_answer_completes_it() -> Iterator[None]:
    """Return with the first answer."""

    def see_whether_complete(self: Survey) -> None:
        if self._complete is not None:
            self._complete.set()

    with replaced(Survey, "_see_whether_complete", see_whether_complete):
        yield


@contextmanager
def the_time_begins_with_the_waiting() -> Iterator[None]:
    """Wait a moment longer than was said, as who counts from a later moment does."""
    right = Survey.answered

    async def answered(self: Survey, deadline: float) -> None:
        await right(self, deadline + 0.001)
        await trio.lowlevel.checkpoint()

    with replaced(Survey, "answered", answered):
        yield


@contextmanager
def an_end_forgets_the_acks() -> Iterator[None]:
    """Clear the table of a socket that goes, and tell nobody."""

    def fail(self: Acks, _error: Any) -> None:
        self._waiting = {}

    with replaced(Acks, "fail", fail):
        yield
