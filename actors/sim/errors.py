"""What a simulation finds, or refuses.

All are `AssertionError`s, so that a test that meets one has failed, not crashed.
"""

from __future__ import annotations


def words(error: BaseException) -> str:
    """Return an error as `ValueError: its text`, whatever its `__str__` does."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - that is not the failure to be told
        text = f"its text cannot be shown, as that raised {type(broken).__name__}"
    return f"{name}: {text}" if text else name


class SimError(AssertionError):
    """Base of what the simulation itself reports; the program's own errors stay what they are."""


class Deadlock(SimError):
    """All tasks are blocked and no timer is pending: nothing can happen any more.

    `tasks` are their names.
    """

    def __init__(self, message: str, tasks: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.tasks = tasks


class TooManySteps(SimError):
    """The program took more steps than `max_steps`: it spins, or the limit is too low for it."""


class InvariantViolated(SimError):
    """A check of `sim.always` did not hold; `invariant` is its name."""

    def __init__(self, invariant: str, detail: str = "") -> None:
        super().__init__(f"{invariant!r} does not hold{f': {detail}' if detail else ''}")
        self.invariant = invariant


class NeverHappened(SimError):
    """What `sim.eventually` waited for did not come in time."""


class NotIdle(SimError):
    """`sim.expect_idle` found tasks or messages."""


class Unreached(SimError):
    """No schedule of the whole set reached what `sim.sometimes` names."""


class Escaped(SimError):
    """The program reached for the real world: a socket, a file descriptor, a name look-up."""


class Nondeterminism(SimError):
    """One seed gave two different runs: the program uses something that is not controlled."""


class BadStrategy(SimError):
    """A strategy raised an error, or chose what was not offered."""


class BadToken(ValueError):
    """A replay token is damaged, or of another version."""


class Abandoned(BaseException):
    """Thrown into tasks that do not end though their run has failed and was cancelled.

    Not an `Exception`, that nothing mistakes it for one of the program's. Never the run's error.
    """
