"""The connection of one test client, and what is on its way there.

Over memory, what is written has arrived when all tasks wait. Over anything else that says nothing:
bytes may be in a kernel's buffer, or on a simulated link. So `settled` sends markers through the
same queues as everything else, and waits until they come out at the other end:

- To the server: a websocket ping. The server's reader handles frames in the order of the wire, so
  when the pong is there, all that the client had sent before is with its socket.
- To the client: an Engine.IO `noop` packet (which clients ignore) put into the session's outbox,
  behind all that was pushed before. When the client has read it, it has read those.

A round is: wait until nothing runs; a marker from each client; wait until nothing runs, for what
arrived may have set handlers to work; a marker to each client; wait until nothing runs. If nobody
has sent, pushed or read anything but markers from the beginning of the round to its end, then at
its end nothing is on its way: what had been sent before the round has arrived at the first marker,
what had been pushed before has been read at the second, and nothing came after. Otherwise there is
another round. Only test clients are asked: what others have sent to the broker may still come.

A client whose inbox is full is not read by the server, and gets no pong until handlers have caught
up; that is a place where things may rest. So may a connection that has ended, once both sides know.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, cast

import trio
import trio_websocket

from broker.sessions.session import Session
from broker.values.encoded import Kept
from broker.values.errors import SocketDisconnected
from protocol import engineio
from protocol.parser import Parser
from protocol.socketio import Packet

from .trios import trio_testing


class Above(Protocol):
    """The client itself."""

    def receive(self, packet: Packet) -> Packet | None:
        """Take a packet of the server's; return the ack for it, if there is one."""

    def failed(self, error: Exception, *, handled: bool) -> None:
        """Hear of an exception that fails the test, unless `handled`: an `error` hook has got it.

        It is one of a handler or hook of this client, or of whoever takes its packets.
        """

    def ended(self) -> None:
        """Hear that the connection has ended."""


class Line:
    """One connection. `over`: whether it has ended, as the client sees it.

    `changes` wakes who waits for anything that changes here; it looks for itself what it was.
    """

    def __init__(
        self, above: Above, sessions: dict[str, Session], parser: Parser, *, instant: bool
    ) -> None:
        self.over = False
        self.changes = trio.lowlevel.ParkingLot()
        self.instant = instant
        self._above = above
        self._sessions = sessions
        self._parser = parser
        self._decoder = parser.decoder()
        self._stream: trio.abc.Stream | None = None
        self._websocket: trio_websocket.WebSocketConnection | None = None
        self._nursery: trio.Nursery | None = None
        self._attaching = trio.Lock()  # held between a packet and the last of its attachments
        self._session: Session | None = None
        self._silence = 0.0  # how long the server may send no ping; known from the open packet
        self._deadline = float("inf")
        self._sent = self._read = self._pauses = 0
        self._pings = self._ponged = 0
        self._marks = self._marked = 0

    # Its life.

    async def open(
        self,
        nursery: trio.Nursery,
        connect: Callable[[], Awaitable[trio.abc.Stream]],
        target: str,
        timeout: float,
    ) -> None:
        """Connect, and wait for the open packet; raises `SocketDisconnected`, OSError.

        Its tasks live in `nursery`.
        """
        self._nursery = nursery
        with trio.move_on_after(timeout) as opening:
            self._stream = _Watched(await connect(), ended=opening.cancel)
            self._websocket = await trio_websocket.wrap_client_stream(
                nursery,
                cast("trio.SocketStream", self._stream),  # any stream will do
                "test.invalid",
                target,
                max_message_size=2**40,  # the server's limits are what is tested
            )
            nursery.start_soon(self._read_all)
            while self._session is None and not self.over:
                await self.changes.park()
        if self._session is None:
            raise SocketDisconnected("")
        nursery.start_soon(self._see_the_end, self._session)

    async def leave(self) -> None:
        """Close politely; returns when all that the server did for this client has ended."""
        if self._nursery is not None and self._websocket is not None:
            self._nursery.start_soon(self._websocket.aclose)
        if self._session is not None:
            await self._session.finished()

    async def abandon(self) -> None:
        """End at once, whatever happens on either side; hooks still run."""
        with trio.CancelScope(shield=True):
            if self._session is not None:
                self._session.nursery.cancel_scope.cancel()
                await self._session.finished()  # hooks have a deadline of their own
            await self.drop()
        self.over = True
        self.changes.unpark_all()  # its own tasks, which would say so, may be cancelled

    async def drop(self) -> None:
        """Let go of the stream, without a word."""
        if self._stream is not None:
            await trio.aclose_forcefully(self._stream)

    async def _see_the_end(self, session: Session) -> None:
        await session.over()
        self.changes.unpark_all()

    # What a session tells its witness.

    def failed(self, error: Exception, *, handled: bool) -> None:
        """Pass it on."""
        self._above.failed(error, handled=handled)
        self.changes.unpark_all()

    def paused(self) -> None:
        """Note that the server reads nothing more for now."""
        self._pauses += 1
        self.changes.unpark_all()

    # Packets.

    async def send(self, packet: Packet) -> None:
        """Send a packet; raises trio_websocket.ConnectionClosed."""
        assert self._websocket is not None
        self._sent += 1
        text, attachments = self._parser.encode(packet)
        if attachments or self._attaching.locked():
            async with self._attaching:
                await self._send_frames(text, attachments)
        else:
            await self._send_frames(text, ())

    async def _send_frames(self, text: bytes | None, attachments: Iterable[bytes]) -> None:
        assert self._websocket is not None
        if text is not None:
            await self._websocket.send_message("4" + text.decode())
        for attachment in attachments:
            await self._websocket.send_message(attachment)

    async def _read_all(self) -> None:
        assert self._websocket is not None
        try:
            while True:
                with trio.fail_at(self._deadline):  # as every client does: the server has to ping
                    message = await self._websocket.get_message()
                await self._take(engineio.decode(message))
        except (trio_websocket.ConnectionClosed, trio.TooSlowError):
            await self.drop()
            self.over = True
            self._above.ended()
            self.changes.unpark_all()
        except Exception as error:  # noqa: BLE001 - what a watcher raises ends the test's block
            assert self._nursery is not None
            self._above.failed(error, handled=False)
            self._nursery.cancel_scope.cancel()

    async def _take(self, packet: engineio.Packet) -> None:
        match packet.type:
            case engineio.PacketType.OPEN:
                self._opened(json.loads(packet.data))
            case engineio.PacketType.PING:
                assert self._websocket is not None
                self._deadline = trio.current_time() + self._silence
                await self._websocket.send_message("3")
            case engineio.PacketType.NOOP if packet.data:
                self._marked = int(packet.data)
            case engineio.PacketType.MESSAGE:
                self._read += 1
                decoded = self._decoder.add(packet.data)
                answer = None if decoded is None else self._above.receive(decoded)
                if answer is not None:
                    await self.send(answer)
            case _:
                pass
        self.changes.unpark_all()

    def _opened(self, told: dict[str, float | str]) -> None:
        self._silence = (float(told["pingInterval"]) + float(told["pingTimeout"])) / 1000
        self._deadline = trio.current_time() + self._silence
        self._session = self._sessions.get(str(told["sid"]))
        if self._session is not None:
            self._session.witness = self

    # What is on its way.

    async def reach_server(self) -> None:
        """Wait until the server has all that was sent, or reads nothing more."""
        while self._session is None and not self.over:
            await self.changes.park()
        session = self._session
        if session is None or session.ended or session.is_paused:
            return
        if not self.over:
            assert self._nursery is not None
            self._pings += 1
            ping = self._pings
            # Not in this task: half a frame must not be sent, and who settles may be cancelled.
            self._nursery.start_soon(self._ping, ping)
            while not (self._ponged >= ping or self.over or session.ended or session.is_paused):
                await self.changes.park()
        if self.over:  # the server will know, and that may have consequences
            while not (session.ended or session.is_paused):
                await self.changes.park()

    async def _ping(self, number: int) -> None:
        assert self._websocket is not None
        try:
            await self._websocket.ping(b"%d" % number)
        except trio_websocket.ConnectionClosed:
            return
        self._ponged = max(self._ponged, number)
        self.changes.unpark_all()

    async def reach_client(self) -> None:
        """Wait until the client has read all that was pushed for it."""
        session = self._session
        if session is None:
            return
        self._marks += 1
        mark = self._marks
        session.outbox.push_control(Kept(b"6%d" % mark))  # nothing happens when it has ended
        while not (self._marked >= mark or self.over):
            await self.changes.park()

    def progress(self) -> tuple[int, ...]:
        """Return what changes whenever anything but a marker goes either way."""
        session = self._session
        if session is None:
            return (self.over,)
        return (
            self._sent,
            self._read,
            session.outbox.pushed,
            self._pauses,
            session.is_paused,
            session.ended,
            self.over,
        )


async def settled(lines: Sequence[Line], enough: Callable[[], bool] = lambda: False) -> None:
    """Wait until nothing runs and nothing is on its way on any of the lines; or until `enough()`.

    `lines` may change meanwhile.
    """
    wait_all_tasks_blocked = trio_testing().wait_all_tasks_blocked
    while True:
        await wait_all_tasks_blocked()
        if enough() or all(line.instant for line in lines):
            return
        before = _progress(lines)
        await _all(line.reach_server for line in lines if not line.instant)
        await wait_all_tasks_blocked()
        await _all(line.reach_client for line in lines if not line.instant)
        await wait_all_tasks_blocked()
        if _progress(lines) == before:
            return


def _progress(lines: Sequence[Line]) -> list[tuple[Line, tuple[int, ...]]]:
    return [(line, line.progress()) for line in lines]


async def _all(tasks: Iterable[Callable[[], Awaitable[None]]]) -> None:
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)


class _Watched(trio.abc.Stream):
    """A stream that tells when it has ended: trio-websocket's handshake would wait on."""

    def __init__(self, stream: trio.abc.Stream, ended: Callable[[], None]) -> None:
        self._stream = stream
        self._ended = ended

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._ended()
            raise
        if not data:
            self._ended()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._ended()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()
