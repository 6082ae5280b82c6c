"""One function that a user has registered: that it is async, and what it can be called with."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import attrs

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

    `function` is what is called; `origin` is what the user has registered.
    """

    function: AsyncFunction
    least: int
    most: float
    origin: AsyncFunction

    @classmethod
    def of(cls, function: AsyncFunction) -> Handler:
        """Look at `function`; raises TypeError for one that is not async."""
        target = function if inspect.isroutine(function) else getattr(function, "func", function)
        call = target if inspect.isroutine(target) else getattr(target, "__call__", None)  # noqa: B004
        if not (inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call)):
            raise TypeError(f"expected an `async def` function, saw {function!r}")
        positional = [
            parameter
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        variadic = any(
            parameter.kind is parameter.VAR_POSITIONAL
            for parameter in inspect.signature(function).parameters.values()
        )
        least = sum(parameter.default is parameter.empty for parameter in positional)
        return cls(function, least, math.inf if variadic else len(positional), function)

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many arguments."""
        return self.least <= count <= self.most

    def accepts(self, arguments: tuple[str, ...]) -> bool:
        """Whether it can be called with arguments of these names; `*args` is any number."""
        if arguments[-1:] == ("*args",):
            return self.least < len(arguments) and self.most == math.inf
        return self.takes(len(arguments))

    @property
    def name(self) -> str:
        """For logs."""
        return getattr(self.origin, "__qualname__", repr(self.origin))
