"""The trace of one run: who sent what to whom, who woke whom, what else happened.

Only runs that are to be shown are traced. Nothing here adds a checkpoint or makes a choice, so a
traced run is the same run.

"""

from __future__ import annotations

import re
import reprlib
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from traceback import walk_tb
from types import FrameType
from typing import Any

import attrs
import trio
import trio.testing

from .orders import Orders
from .places import place_here, place_of_task
from .scheduler import RunQueue
from .seam import waiting_messages
from .slices import Wake
from .story import Blocked, Deviation, Kind, TraceEvent, Unreceived
from .strategies import TaskView

_LONGEST = 72  # characters of a message, of which a screen has room for one arrow
_FEW_NAMES = 3  # of those who are passed over, the first few are what a failure is about
_ENDS = re.compile(r"<(send|receive) channel at [^>]*>")
_ADDRESS = re.compile(r" (?:at|@) 0x[0-9a-f]+")


class _Short(reprlib.Repr):
    def repr_instance(self, x: object, level: int) -> str:  # noqa: ARG002 - as its base's
        return _without_addresses(repr(x))


_short = _Short()
_short.maxlevel = 4
_short.maxstring = _LONGEST
_short.maxtuple = _short.maxlist = _short.maxdict = 8


def _without_addresses(text: str) -> str:
    return _ADDRESS.sub("", _ENDS.sub(r"<\1 channel>", text))


def shown(message: object) -> str:
    """Return a message as a line shows it: its repr, shortened, the same in every process."""
    try:
        text = message if isinstance(message, str) else _short.repr(message)
    except Exception as error:  # noqa: BLE001 - a broken __repr__ is not the run's failure
        text = f"<{type(message).__name__}, whose repr raised {type(error).__name__}>"
    text = _without_addresses(text).replace("\n", "\\n")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


@attrs.frozen
class _Sent:
    """A message on its way."""

    sender: str
    text: str
    step: int


class Trace:
    """What happens in one run; the world `attach`es itself before it begins."""

    def __init__(self, *, fails_at: int | None = None) -> None:
        """`fails_at`: the step after which the run is known to have failed by itself."""
        self.events: list[TraceEvent] = []
        self.deviations: list[Deviation] = []
        self.faults: list[str] = []
        self.unreceived: tuple[Unreceived, ...] = ()
        self.blocked: tuple[Blocked, ...] = ()
        self.concerned: set[str] = set()
        """The lanes the failure and the deviations are about."""
        self.ended: dict[str, int] = {}
        """At which step each task ended."""
        self.wakes: list[Wake] = []
        self.fails_at = fails_at
        self._queues: defaultdict[Hashable, deque[_Sent]] = defaultdict(deque)
        self._channels_of_links: dict[Hashable, str] = {}
        self._refused: dict[trio.lowlevel.Task, _Sent] = {}
        self._frames: list[tuple[FrameType, str]] = []  # each task's outermost one
        self._wake_lines: list[tuple[int, TraceEvent]] = []  # and before which of the events
        self._over = False

    def attach(
        self,
        orders: Orders,
        queue: RunQueue,
        clock: trio.testing.MockClock,
        blocked: Callable[[], tuple[Blocked, ...]],
    ) -> None:
        """Take what the trace reads of the run."""
        self._orders = orders
        self._queue = queue
        self._clock = clock
        self._where_all_are = blocked

    def _add(self, kind: Kind, lane: str, text: str, **more: Any) -> None:
        step = self._queue.steps
        self._watch_for_the_end(step)
        if not self._over:
            time = self._clock.current_time()
            self.events.append(TraceEvent(step, time, kind, lane, text, **more))

    def _watch_for_the_end(self, step: int) -> None:
        if self.fails_at is not None and step > self.fails_at and not self._over:
            self.failed()

    def failed(self) -> None:
        """Note that the run has failed: what comes now is only its unwinding."""
        if self._over:
            return
        self.blocked = self._where_all_are()
        self.unreceived = tuple(self._find_unreceived())
        self._over = True

    def _find_unreceived(self) -> list[Unreceived]:
        found = [
            Unreceived(self._channel_name(key), sent.text, sent.sender, sent.step, waiting=False)
            for key, queue in self._queues.items()
            for sent in queue
        ]
        for log in self._orders.channels.values():
            for task, message in waiting_messages(log.channel):
                sent = self._refused.get(task) or _Sent("?", shown(message), 0)
                name = self._channel_name(id(log.channel))
                found.append(Unreceived(name, sent.text, sent.sender, sent.step, waiting=True))
        return sorted(found, key=lambda one: one.sent_at)

    # Tasks.

    def _running(self) -> str:
        return self._orders.running().name

    def spawned(self, view: TaskView) -> None:
        """Note a new task."""
        frame = view.task.coro.cr_frame
        assert frame is not None  # it has not begun
        self._frames.append((frame, view.name))
        self._add("started", view.name, "started")

    def exited(self, view: TaskView) -> None:
        """Note the end of a task."""
        self.ended[view.name] = self._queue.steps
        self._add("ended", view.name, "ended")

    def woke(self, view: TaskView) -> None:
        """Note that the running task, or time, made another one runnable."""
        waker = self._orders.running()
        if waker is view or not view.steps:
            return
        if waker.number < 0 or waker.system:
            self._note_wake("note", view, f"its time has come, at {place_of_task(view.task)}")
        elif not waker.ended:  # that a nursery waits for its tasks says nothing of what led to what
            self.wakes.append((self._queue.steps, waker.name, view.name))
            self._note_wake("message", view, place_here(), sender=waker.name, channel="wakes")

    def _note_wake(self, kind: Kind, view: TaskView, text: str, **more: Any) -> None:
        step = self._queue.steps
        self._watch_for_the_end(step)
        if not self._over:
            time = self._clock.current_time()
            event = TraceEvent(step, time, kind, view.name, text, sent_at=step, **more)
            self._wake_lines.append((len(self.events), event))

    def lines(self) -> list[TraceEvent]:
        """Return what happened; in a program without messages, who woke whom is what happened."""
        if any(event.kind in ("message", "bytes") for event in self.events):
            return self.events
        lines = list(self.events)
        for position, event in reversed(self._wake_lines):
            lines.insert(position, event)
        return lines

    def lane_of(self, error: BaseException) -> str:
        """Return the task in which an error was raised: its traceback begins there."""
        frames = {id(frame): name for frame, name in self._frames}
        return next(
            (frames[id(frame)] for frame, _ in walk_tb(error.__traceback__) if id(frame) in frames),
            "main",
        )

    # Choices.

    def _deviates(self, step: int, text: str, lane: str = "", *others: str) -> None:
        """Note a choice that is not the plain one, and whom it is about."""
        self._watch_for_the_end(step)
        if not self._over:
            self.deviations.append(Deviation(step, text, lane))
            self.concerned.update(name for name in (lane, *others) if name)

    def preferred(self, view: TaskView, before: Sequence[TaskView]) -> None:
        """Note that a task runs before others who had the better right."""
        names = [one.name for one in before[:_FEW_NAMES]]
        if before[0] is self._queue.current:
            text = f"{view.name} runs, though {names[0]} could go on"
        else:
            others = f" and {len(before) - 1} more" if len(before) > 1 else ""
            text = f"{view.name} runs before {names[0]}{others}, who waited longer"
        self._deviates(self._queue.steps + 1, text, view.name, *names)

    def held_back(self, view: TaskView) -> None:
        """Note that a task runs, from now on, only when no other task can."""
        text = f"from here on {view.name} runs only when no other task can"
        self._deviates(self._queue.steps + 1, text, view.name)

    def fired_early(self, seconds: float) -> None:
        """Note that a timer fired though tasks could run."""
        text = f"a timer fires {seconds:g} s early, while tasks can run"
        self._deviates(self._queue.steps + 1, text)

    def drew(self, what: str, text: str) -> None:
        """Note a choice of the program's that is not the plain one."""
        self._deviates(self._queue.steps, f"{what or 'a choice'} is {text}", self._running())

    # What the program and the network say.

    def noted(self, text: str) -> None:
        """Note a line in the lane of the running task."""
        self._add("note", self._running(), text)

    def fault(self, who: str, text: str) -> None:
        """Note what the network did."""
        self._add("net", who, text)
        if not self._over:
            self.faults.append(f"{who}: {text}")
            self.concerned.add(who)

    # Messages: of channels (see `taps.Ear`), and on links of the network.

    def _channel_name(self, key: Hashable) -> str:
        log = self._orders.channels.get(key) if isinstance(key, int) else None
        if log is None:
            return self._channels_of_links.get(key, "")
        if not log.name:
            unnamed = sum(one.name.startswith("channel ") for one in self._orders.channels.values())
            log.name = f"channel {unnamed + 1}"
        return log.name

    def _sent(self, text: str) -> _Sent:
        step = self._queue.steps
        self._watch_for_the_end(step)
        return _Sent(self._running(), text, step)

    def message_sent(self, channel: Any, message: Any, receiver: trio.lowlevel.Task | None) -> None:
        """Note a message, which is delivered at once when its receiver waits for it."""
        self._orders.message_sent(channel, message, receiver)
        sent = self._sent(shown(message))
        if receiver is None:
            self._queues[id(channel)].append(sent)
        else:
            self._delivered(sent, self._orders.name_of(receiver), self._channel_name(id(channel)))

    def message_refused(self, channel: Any, message: Any) -> None:
        """Note a message that finds no place; its sender waits, or gives up."""
        self._orders.log_of(channel)
        sent = self._sent(shown(message))
        self._refused[trio.lowlevel.current_task()] = sent

    def message_received(self, channel: Any, released: trio.lowlevel.Task | None) -> None:
        """Note that the running task took the oldest message."""
        self._orders.message_received(channel, released)
        queue = self._queues[id(channel)]
        if released is not None:
            queue.append(self._refused.pop(released))
        if queue:
            self._delivered(queue.popleft(), self._running(), self._channel_name(id(channel)))

    def mailbox_made(self, channel: Any, name: str) -> None:
        """Name the channel of a mailbox."""
        self._orders.log_of(channel).name = f"mailbox of {name}"

    def answered(self, asker: trio.lowlevel.Task, answer: object) -> None:
        """Note the answer to a question, which is delivered at once."""
        sent = self._sent(shown(answer))
        self._delivered(sent, self._orders.name_of(asker), "answer")

    def sent(self, link: Hashable, text: str, channel: str) -> None:
        """Note bytes that are put on one direction of a link."""
        self._channels_of_links[link] = channel
        self._queues[link].append(self._sent(text))

    def received(self, link: Hashable) -> None:
        """Note that the oldest bytes of a link reached the running task."""
        if self._queues[link]:
            sent = self._queues[link].popleft()
            self._delivered(sent, self._running(), self._channels_of_links[link], "bytes")

    def _delivered(self, sent: _Sent, receiver: str, channel: str, kind: Kind = "message") -> None:
        self._add(kind, receiver, sent.text, sender=sent.sender, channel=channel, sent_at=sent.step)
