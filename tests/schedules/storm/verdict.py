"""What a storm has found: the first promise that was broken, wherever it was seen.

A handler cannot fail a run by raising, as the broker catches what users' code raises. So whoever
sees a broken promise says so here, and the storm's main task, which is cancelled, raises it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from actors.sim import InvariantViolated


class Verdict:
    """One run's. Anything that `atrio` logs as an error breaks a promise, unless it is expected."""

    def __init__(self) -> None:
        self.expected_logs: tuple[str, ...] = ()
        """Errors whose text holds one of these are what the storm provokes."""
        self._error: InvariantViolated | None = None
        self._scope: trio.CancelScope | None = None

    def hold(self, condition: object, name: str, detail: object = "") -> None:
        """Note that the promise `name` is broken, unless `condition`."""
        if not condition and self._error is None:
            self._error = InvariantViolated(name, str(detail))
            if self._scope is not None:
                self._scope.cancel()

    @contextmanager
    def given(self) -> Iterator[None]:
        """Run a storm; it is cancelled, and the verdict raised, at the first broken promise."""
        logger = logging.getLogger("atrio")
        ear = _Ear(self)
        saved = logger.level, logger.propagate
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        logger.addHandler(ear)
        try:
            with trio.CancelScope() as self._scope:
                yield
        except BaseException as error:
            if self._error is not None:
                raise self._error from error
            raise
        finally:
            logger.removeHandler(ear)
            logger.level, logger.propagate = saved
            logger.setLevel(saved[0])
        if self._error is not None:
            raise self._error


class _Ear(logging.Handler):
    """Hears the errors that are logged."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(logging.ERROR)
        self._verdict = verdict

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info is not None and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]!r}"
        self._verdict.hold(
            any(expected in text for expected in self._verdict.expected_logs),
            "nothing goes wrong unexpectedly",
            text,
        )
