"""In which order messages went: what makes two schedules really different.

Two schedules that give every channel its senders and receivers, and every task its channels, in
the same order are one and the same to a program that shares nothing else. How many different ones
a set of schedules has seen tells whether more of them would show anything new.

Tasks and channels are known by keys that are the same in all schedules: where they come from, not
when they came.
"""

from __future__ import annotations

from typing import Any

import attrs
import trio

from .strategies import TaskView


@attrs.define(eq=False)
class ChannelLog:
    """One channel's messages."""

    channel: Any  # held, that its identity is not given to another
    key: int
    name: str = ""
    senders: list[int] = attrs.field(factory=list)
    receivers: list[int] = attrs.field(factory=list)


class Orders:
    """Listens to one run's channels."""

    def __init__(self, views: dict[trio.lowlevel.Task, TaskView]) -> None:
        self._views = views
        self._nobody = TaskView(None, -2, "outside")  # type: ignore[arg-type]  # it has no task
        self._heard: dict[int, list[int]] = {}  # by the key of a task: from which channels
        self.channels: dict[int, ChannelLog] = {}
        """By the identity of the channel."""

    def running(self) -> TaskView:
        """Return who sends or receives now; a callback outside of all tasks is nobody."""
        try:
            return self._views[trio.lowlevel.current_task()]
        except RuntimeError:
            return self._nobody

    def name_of(self, task: trio.lowlevel.Task) -> str:
        """Return the label of a task."""
        return self._views[task].name

    def log_of(self, channel: Any) -> ChannelLog:
        """Return the log of a channel; the first one to touch it gives it its key."""
        log = self.channels.get(id(channel))
        if log is None:
            view = self.running()
            view.channels += 1
            log = ChannelLog(channel, hash((view.key, view.channels)))
            self.channels[id(channel)] = log
        return log

    def message_sent(self, channel: Any, message: Any, receiver: trio.lowlevel.Task | None) -> None:  # noqa: ARG002
        """Note who sent."""
        log = self.log_of(channel)
        log.senders.append(self.running().key)
        if receiver is not None:
            self._note_receiver(log, self._views[receiver].key)

    def message_refused(self, channel: Any, message: Any) -> None:
        """Note nothing: it may never be sent."""

    def message_received(self, channel: Any, released: trio.lowlevel.Task | None) -> None:
        """Note who received, and whose message went into the buffer thereby."""
        log = self.log_of(channel)
        if released is not None:
            log.senders.append(self._views[released].key)
        self._note_receiver(log, self.running().key)

    def _note_receiver(self, log: ChannelLog, key: int) -> None:
        log.receivers.append(key)
        heard = self._heard.get(key)
        if heard is None:
            self._heard[key] = [log.key]
        else:
            heard.append(log.key)

    def digest(self) -> int | None:
        """Return a number for the order of this run's messages; None when there were none."""
        channels = [
            (log.key, tuple(log.senders), tuple(log.receivers))
            for log in self.channels.values()
            if log.senders
        ]
        if not channels:
            return None
        heard = [(key, tuple(keys)) for key, keys in self._heard.items()]
        return hash((tuple(sorted(channels)), tuple(sorted(heard))))
