"""One function that a user has registered: that it is async, and what it can be called with."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeAlias, TypeVar

import attrs

from .payload import Payload

AsyncFunction: TypeAlias = Callable[..., Awaitable[Any]]
F = TypeVar("F", bound=AsyncFunction)


class NoAck:
    """The type of `NO_ACK`."""

    def __repr__(self) -> str:
        return "NO_ACK"


NO_ACK = NoAck()
"""What a handler returns to send no ack, though the client asked for one."""


@attrs.frozen
class Handler:
    """An async function, and how many positional arguments it takes.

    `function` is what is called; `origin` is what the user has registered. `payload` checks what
    clients send to it, if its annotations say anything about that.
    """

    function: AsyncFunction
    least: int
    most: float
    origin: AsyncFunction
    payload: Payload | None = None

    @classmethod
    def of(cls, function: AsyncFunction, *, lead: int | None = None) -> Handler:
        """Look at `function`; raises TypeError for one that is not async.

        `lead`: how many arguments come before those of clients; None: none come from clients.
        Raises TypeError, too, for annotations of theirs that cannot be checked.
        """
        if not _is_async(function):
            raise TypeError(f"expected an `async def` function, saw {function!r}")
        parameters = _parameters(function)
        for parameter in parameters:
            if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
                raise TypeError(
                    f"{function!r} is called with positional arguments, and cannot be: "
                    f"{parameter.name!r} is keyword-only; give it a default"
                )
        payload = None if lead is None else Payload.of(function, parameters, lead)
        return cls(function, *_arity(parameters), function, payload)

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many arguments."""
        return self.least <= count <= self.most

    def accepts(self, arguments: tuple[str, ...]) -> bool:
        """Whether it can be called with arguments of these names; `*args` is any number."""
        return _accepts(self.least, self.most, arguments)

    @property
    def name(self) -> str:
        """For logs."""
        return getattr(self.origin, "__qualname__", repr(self.origin))


def check_listener(what: str, function: Callable[..., object], arguments: tuple[str, ...]) -> None:
    """Raise TypeError for what is no plain function that can be called with these arguments.

    Listeners run in the middle of a step that nothing may interrupt, so they cannot await.
    """
    if not callable(function) or _is_async(function):
        raise TypeError(
            f"{what}: expected a `def` function, which is called in the middle of a step and "
            f"cannot await, saw {function!r}"
        )
    if not _accepts(*_arity(_parameters(function)), arguments):
        raise TypeError(f"{what} is called with ({', '.join(arguments)}); {function!r} is not")


def _is_async(function: Callable[..., object]) -> bool:
    target = function if inspect.isroutine(function) else getattr(function, "func", function)
    call = target if inspect.isroutine(target) else getattr(target, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call)


def _parameters(function: Callable[..., object]) -> Collection[inspect.Parameter]:
    return inspect.signature(function).parameters.values()


def _arity(parameters: Collection[inspect.Parameter]) -> tuple[int, float]:
    """Return the least and the largest number of positional arguments."""
    positional = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    variadic = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    least = sum(parameter.default is parameter.empty for parameter in positional)
    return least, math.inf if variadic else len(positional)


def _accepts(least: int, most: float, arguments: tuple[str, ...]) -> bool:
    if arguments[-1:] == ("*args",):
        return least < len(arguments) and most == math.inf
    return least <= len(arguments) <= most
