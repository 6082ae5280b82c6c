"""The tape of a run: every choice that was made in it, as one list of small numbers.

0 is the plain choice everywhere: the task goes on, no fault, no early timer. So a tape of zeros is
the plain run, what is behind the end of a tape is zeros, and a shorter tape with fewer numbers
that are not 0 is a simpler schedule. A token is a tape as text, to be given to `--sim-replay`.
"""

from __future__ import annotations

import base64
import binascii
import operator
import zlib
from collections.abc import Callable, Sequence

from .errors import BadStrategy, BadToken, words
from .strategies import Strategy, TaskView

_VERSION = "s1."

_LONGEST = 10_000_000  # choices of a tape: more than that is no token of a run


class Tape:
    """Makes the choices of one run and writes them down.

    They come from `replay` (and then zeros), or from the strategy. A strategy that fails is asked
    no more: `failed` is called with what it raised. Nothing here raises.
    """

    __slots__ = (
        "_replay",
        "_strategy",
        "choices",
        "drawn",
        "failed",
        "limits",
        "misaligned",
        "plain",
    )

    def __init__(self, strategy: Strategy | None, replay: Sequence[int] = ()) -> None:
        self._strategy = strategy
        self._replay = replay
        self.choices: list[int] = []
        self.limits: list[int] = []
        """How many there were to choose from, each time."""
        self.drawn: list[int] = []
        """Those of the choices that are not of who runs, in their order."""
        self.misaligned = 0
        """How often the replayed tape wanted what was not offered: the program has changed."""
        self.plain = False
        """Whether no choices are made, nor written down, any more."""
        self.failed: Callable[[BaseException], None] = _ignore

    def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:
        """Choose who runs, of two tasks or more.

        In a replay n + i, of n tasks, holds back the one of index i.
        """
        if self.plain:
            return 0
        n = len(ready)
        strategy = self._strategy
        if strategy is None:
            choice = self._replayed(2 * n)
        else:
            try:
                choice = operator.index(strategy.pick(tuple(ready), current))
                if not 0 <= choice < n:
                    raise _outside(strategy, choice, n)
            except BaseException as error:  # noqa: BLE001 - nothing may escape into trio's loop
                choice = self._give_up(error)
        self.choices.append(choice)
        self.limits.append(n)
        return choice

    def draw(self, n: int) -> int:
        """Choose a number from 0 to n - 1."""
        if self.plain or n == 1:
            return 0
        strategy = self._strategy
        if strategy is None:
            choice = self._replayed(n)
        else:
            try:
                choice = operator.index(strategy.draw(n))
                if not 0 <= choice < n:
                    raise _outside(strategy, choice, n)
            except BaseException as error:  # noqa: BLE001 - as in `pick`
                choice = self._give_up(error)
        self.choices.append(choice)
        self.drawn.append(choice)
        self.limits.append(n)
        return choice

    def chance(self, p: float) -> bool:
        """Choose yes or no."""
        if self.plain:
            return False
        if self._strategy is None:
            choice = self._replayed(2)
        else:
            try:
                choice = int(bool(self._strategy.chance(p)))
            except BaseException as error:  # noqa: BLE001 - as in `pick`
                choice = self._give_up(error)
        self.choices.append(choice)
        self.drawn.append(choice)
        self.limits.append(2)
        return bool(choice)

    def _replayed(self, n: int) -> int:
        position = len(self.choices)
        if position >= len(self._replay):
            return 0
        choice = self._replay[position]
        if choice >= n:
            self.misaligned += 1
            return 0
        return choice

    def _give_up(self, error: BaseException) -> int:
        if isinstance(error, Exception) and not isinstance(error, BadStrategy):
            told = BadStrategy(f"{type(self._strategy).__name__} raised {words(error)}")
            told.__cause__ = error
            error = told
        self._strategy = None
        self.failed(error)
        return 0


def _ignore(_error: BaseException) -> None:
    pass


def _outside(strategy: Strategy, choice: int, n: int) -> BadStrategy:
    name = type(strategy).__name__
    return BadStrategy(f"{name} chose {choice!r}, where 0 to {n - 1} were offered")


def checked(choices: Sequence[int]) -> list[int]:
    """Return a tape that was given; raises TypeError or ValueError when it cannot be one."""
    tape = [operator.index(choice) for choice in choices]
    if min(tape, default=0) < 0:
        raise ValueError(f"a tape holds numbers from 0 up, saw {min(tape)}")
    return tape


def stripped(choices: Sequence[int]) -> list[int]:
    """Return the choices without the zeros at the end, which say nothing."""
    end = len(choices)
    while end and not choices[end - 1]:
        end -= 1
    return list(choices[:end])


def encode(choices: Sequence[int]) -> str:
    """Return the token of a tape."""
    numbers: list[int] = []  # pairs: how many zeros, then what is not one
    zeros = 0
    for choice in stripped(choices):
        if choice:
            numbers += (zeros, choice)
            zeros = 0
        else:
            zeros += 1
    plain = b"".join(map(_varint, numbers))
    packed = zlib.compress(plain, 9, wbits=-15)
    data = b"\x01" + packed if len(packed) < len(plain) else b"\x00" + plain
    data += binascii.crc_hqx(data, 0).to_bytes(2, "big")
    return _VERSION + base64.urlsafe_b64encode(data).decode().rstrip("=")


def decode(token: str) -> list[int]:
    """Return the tape of a token; raises `BadToken`."""
    if not token.startswith(_VERSION):
        raise BadToken(f"expected a replay token that begins with {_VERSION!r}, saw {token!r}")
    text = token[len(_VERSION) :]
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if len(data) < 3 or binascii.crc_hqx(data[:-2], 0) != int.from_bytes(data[-2:], "big"):
            raise ValueError("its check sum is wrong")
        numbers = _numbers(zlib.decompress(data[1:-2], wbits=-15) if data[0] else data[1:-2])
        tape: list[int] = []
        for zeros, choice in zip(numbers[::2], numbers[1::2], strict=True):
            if len(tape) + zeros >= _LONGEST:
                raise ValueError("it is too long")
            tape += [0] * zeros
            tape.append(choice)
    except (ValueError, zlib.error) as error:
        raise BadToken(f"the replay token {token!r} is damaged ({error}): copy all of it") from None
    return tape


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _numbers(data: bytes) -> list[int]:
    numbers: list[int] = []
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number = shift = 0
    if shift:
        raise ValueError("its end is missing")
    return numbers
