"""What a handler's annotations say of what clients may send to it, and the check of that.

An annotation is checked when it means something a client can send: what msgspec can convert
strictly. A client's value becomes an instance of it, or is the client's error. What msgspec cannot
convert is no concern of ours (`object`, a `Callable`), unless there is a model or a choice in it:
who writes a Struct, an attrs class, a dataclass, a TypedDict, an Enum or a Literal relies on it.
"""

from __future__ import annotations

import builtins
import dataclasses
import enum
import functools
import inspect
import logging
import re
import types
import typing
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import attrs
import msgspec
import msgspec.inspect

from broker.values.errors import EventError

logger = logging.getLogger("atrio.socket")

Convert: TypeAlias = Callable[[Any], Any]


@attrs.frozen
class Payload:
    """The checks of a handler's parameters, in order, and of its `*args`; None: anything goes."""

    own: tuple[Convert | None, ...]
    rest: Convert | None = None

    @classmethod
    def of(
        cls, function: Callable[..., object], parameters: Collection[inspect.Parameter], lead: int
    ) -> Payload | None:
        """Read the annotations behind the first `lead` parameters; None: nothing is checked.

        Raises TypeError for a model or a choice that can never be checked.
        """
        own = [each for each in parameters if each.kind in _POSITIONAL][lead:]
        rest = [each for each in parameters if each.kind is inspect.Parameter.VAR_POSITIONAL]
        if all(each.annotation is each.empty for each in (*own, *rest)):
            return None
        scope = _scope_of(function)
        checks = cls(tuple(map(scope.check_of, own)), scope.check_of(rest[0]) if rest else None)
        return checks if any((*checks.own, checks.rest)) else None

    def read(self, args: Sequence[Any]) -> list[Any]:
        """Return what the handler gets for a client's arguments, as many as it takes.

        Raises `EventError` with `bad_arguments`; its data has the `argument`, from 1, and the
        `path` inside it, if it is not all of it.
        """
        read = list(args)
        for index, value in enumerate(args):
            convert = self.own[index] if index < len(self.own) else self.rest
            if convert is None:
                continue
            try:
                read[index] = convert(value)
            # A TypeError is that of a set, for what cannot be in one.
            except (msgspec.ValidationError, TypeError) as error:
                raise _refusal(index + 1, error) from None
        return read


def _refusal(argument: int, error: Exception) -> EventError:
    text = str(error)
    if (cause := error.__cause__) is not None and cause.args:
        # A validator of attrs raises its sentence with all that the server knows of the field.
        text = text.replace(str(cause), str(cause.args[0]), 1)
    data: dict[str, Any] = {"argument": argument}
    if (inside := _PATH.search(text)) is not None:
        data["path"] = inside["path"]
    if len(text) > _MAX_TEXT:
        text = f"{text[:_MAX_TEXT]}…"
    text = " ".join(text.split())
    return EventError("bad_arguments", f"argument {argument}: {text}", data)


_MAX_TEXT = 300  # characters: it may hold what the client has sent, and goes into a line of the log
_PATH = re.compile(r" - at (?:`key` in )?`(?P<path>\$.*)`\Z", re.DOTALL)

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


# Annotations.


class _NeverFitsError(Exception):
    """A model or choice that cannot be made out of what clients send."""


@attrs.frozen
class _Scope:
    """Where annotations were written: in the function of this name, among other names."""

    function: str
    around: dict[str, Any]
    module: dict[str, Any]

    def check_of(self, parameter: inspect.Parameter) -> Convert | None:
        if parameter.annotation is parameter.empty:
            return None
        try:
            return _convert_to(self._meaning_of(parameter.annotation))
        except _NeverFitsError as error:
            raise TypeError(
                f"{self.function}: what clients send for `{parameter.name}` cannot be checked: "
                f"{error}"
            ) from None
        except Exception as error:  # noqa: BLE001 - an annotation can be any expression
            _warn_unresolved(self.function, parameter.name, str(error))
            return None

    def _meaning_of(self, annotation: Any) -> Any:
        if isinstance(annotation, str):  # to look a name up takes far less than to evaluate it
            for names in (self.around, self.module, vars(builtins)):
                if annotation in names:
                    annotation = names[annotation]
                    break
        if isinstance(annotation, type):
            return annotation
        holder = types.SimpleNamespace(__annotations__={"it": annotation})
        hints = typing.get_type_hints(holder, self.module, self.around, include_extras=True)
        return hints["it"]


def _scope_of(function: Callable[..., object]) -> _Scope:
    name = getattr(function, "__qualname__", repr(function))
    defined = _definition(function)
    if defined is None:
        return _Scope(name, {}, {})
    around = {}
    for free, cell in zip(defined.__code__.co_freevars, defined.__closure__ or (), strict=True):
        with suppress(ValueError):  # it has no value yet
            around[free] = cell.cell_contents
    return _Scope(name, around, defined.__globals__)


def _definition(function: Any) -> types.FunctionType | None:
    """Return the `def` beneath partials, methods, wrappers and callable objects, if any."""
    while not inspect.isfunction(function := inspect.unwrap(function)):
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif inspect.isfunction(call := type(function).__call__):
            function = call
        else:
            return None
    return function


@functools.cache
def _warn_unresolved(name: str, parameter: str, error: str) -> None:
    """Say it once, and not for each socket that registers this handler."""
    logger.warning(
        "%s: what clients send for `%s` is not checked, as its type cannot be found: %s. Is it "
        "imported for type checkers only, or defined in a function?",
        name,
        parameter,
        error,
    )


# Types.


def _convert_to(annotation: Any) -> Convert | None:
    """Return what makes a client's value into this, None if anything goes.

    Raises _NeverFitsError, and whatever it raises to look for the types of a model's fields.
    """
    try:
        hash(annotation)
    except TypeError:  # as that of Annotated[int, []]
        return _converter.__wrapped__(annotation)
    return _converter(annotation)


@functools.lru_cache(maxsize=1024)  # a handler of `socket.on` is registered for each socket
def _converter(annotation: Any) -> Convert | None:
    try:
        described = msgspec.inspect.type_info(annotation)
        fault = next(_faults(described, set()), None)
    except TypeError as error:
        fault = str(error)
    if fault is not None:
        if _is_relied_on(annotation):
            raise _NeverFitsError(fault)
        return None
    if _is_any(described):
        return None
    return functools.partial(
        msgspec.convert,
        type=annotation,
        strict=True,
        builtin_types=(bytes, bytearray, memoryview),  # they come as such, not as base64
        str_keys=True,  # those of an object are text: for dict[int, ...] they are read as numbers
    )


def _is_any(described: msgspec.inspect.Type) -> bool:
    match described:
        case msgspec.inspect.CustomType(cls=cls):
            return cls is object
        case _:
            return isinstance(described, msgspec.inspect.AnyType)


def _faults(described: msgspec.inspect.Type, seen: set[int]) -> Iterator[str]:
    """Yield what keeps clients from sending this."""
    if id(described) in seen:  # a model that holds itself
        return
    seen.add(id(described))
    if isinstance(described, msgspec.inspect.CustomType) and not _is_any(described):
        yield f"no client can send {described.cls.__qualname__}: keep it out of what they send"
    if isinstance(described, msgspec.inspect.DataclassType):
        for name in _set_by_server(described.cls):
            yield (
                f"a client could set {described.cls.__qualname__}.{name}, which is declared with "
                "init=False: keep it out of what they send"
            )
    for part in msgspec.structs.astuple(described):
        for inner in part if isinstance(part, tuple) else (part,):
            kind = inner.type if isinstance(inner, msgspec.inspect.Field) else inner
            if isinstance(kind, msgspec.inspect.Type):
                yield from _faults(kind, seen)


def _set_by_server(model: type) -> list[str]:
    fields = attrs.fields(model) if attrs.has(model) else dataclasses.fields(model)
    return [field.name for field in fields if not field.init]


def _is_relied_on(annotation: Any) -> bool:
    """Whether there is a model in it, or a choice."""
    kind = typing.get_origin(annotation) or annotation
    return (
        (isinstance(kind, type) and issubclass(kind, (msgspec.Struct, enum.Enum)))
        or attrs.has(kind)
        or dataclasses.is_dataclass(kind)
        or typing.is_typeddict(kind)
        or kind is typing.Literal
        or any(map(_is_relied_on, typing.get_args(annotation)))
    )
