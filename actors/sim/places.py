"""Which line is the user's: of a traceback, or of a blocked task.

The innermost frame that is neither Trio's, nor this kit's, nor of an installed package or the
standard library; the innermost of all if there is none.
"""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import CodeType

import trio

_KIT = os.path.join(os.path.dirname(__file__), "")  # noqa: PTH118, PTH120 - compared as text
_PLUGIN = str(Path(__file__).parents[1] / "pytest_sim.py")
_TRIO = os.path.join(os.path.dirname(trio.__file__), "")  # noqa: PTH118, PTH120
_INSTALLED = tuple(
    os.path.join(sysconfig.get_path(name), "")  # noqa: PTH118
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def is_kit(file: str) -> bool:
    """Whether a file is Trio's or this kit's: never what a user looks for."""
    return file.startswith((_KIT, _TRIO, _PLUGIN))


def _is_users(file: str) -> bool:
    return not is_kit(file) and not file.startswith(_INSTALLED) and not file.startswith("<")


def _user_frame(frames: Sequence[tuple[CodeType, int]]) -> tuple[CodeType, int] | None:
    """Return the user's frame of some that are ordered from the outermost to the innermost."""
    for code, line in reversed(frames):
        if _is_users(code.co_filename):
            return code, line
    for code, line in reversed(frames):
        if not is_kit(code.co_filename):
            return code, line
    return None


def _short(file: str) -> str:
    path = Path(file)
    if not _is_users(file):
        return path.name
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return path.name


def place_of_task(task: trio.lowlevel.Task) -> str:
    """Return where a task is now, as `chat.py:48 in want`; empty when that is nowhere."""
    frames = [(frame.f_code, line) for frame, line in task.iter_await_frames()]
    # Of a task that is Trio's function, as `trio.sleep`, there is that to say.
    return _place(_user_frame(frames) or next(iter(frames), None))


def place_of_function(function: object) -> str:
    """Return what a function is called, and where it is defined if that is known."""
    kind = type(function).__qualname__
    name = str(getattr(function, "__qualname__", kind)).rpartition(".<locals>.")[2]
    code = getattr(function, "__code__", None)
    return name if code is None else f"{name} ({_short(code.co_filename)}:{code.co_firstlineno})"


def place_here() -> str:
    """Return the user's line that runs now, as `pool.py:33 in release: event.set()`, or empty."""
    stack = traceback.walk_stack(sys._getframe(1))
    return _with_source(_user_frame([(frame.f_code, line) for frame, line in stack][::-1]))


def _place(frame: tuple[CodeType, int] | None) -> str:
    if frame is None:
        return ""
    code, line = frame
    return f"{_short(code.co_filename)}:{line} in {code.co_name}"


def leaves(error: BaseException) -> Iterable[BaseException]:
    """Return the errors in a group, of groups, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from leaves(part)
    else:
        yield error


def leaf(error: BaseException) -> BaseException:
    """Return the first error in a group that is no cancellation, or the error itself."""
    found = list(leaves(error))
    return next((one for one in found if not isinstance(one, trio.Cancelled)), found[0])


def _frames_of(error: BaseException) -> list[tuple[CodeType, int]]:
    return [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]


def place_of_error(error: BaseException) -> str:
    """Return the user's line that raised it, as `chat.py:55 in room: assert x`, or empty."""
    return _with_source(_user_frame(_frames_of(error)))


def _with_source(frame: tuple[CodeType, int] | None) -> str:
    if frame is None:
        return ""
    code, line = frame
    source = linecache.getline(code.co_filename, line).strip()
    return f"{_place(frame)}{f': {source}' if source else ''}"


def line_of_error(error: BaseException) -> tuple[str, int]:
    """Return file and number of the user's line that raised it."""
    found = _user_frame(_frames_of(error))
    return ("", 0) if found is None else (found[0].co_filename, found[1])
