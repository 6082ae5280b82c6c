"""A client that has lost its connection comes back: to its id, rooms, data and missed events."""

from __future__ import annotations

import gc
import json
import re
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, ConnectError, Recovery, Room, Socket

from .returning import Returning

WINDOW = 120.0


def make(**limits: Any) -> tuple[Broker, list[str]]:
    """Return a broker whose clients are in `general`, and a diary of their hooks."""
    broker = Broker(connection_state_recovery=Recovery(**limits))
    diary: list[str] = []

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        diary.append(f"connection, recovered {socket.recovered}")
        if not socket.recovered:
            await socket.join("general")
            socket.data["seat"] = 7

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        diary.append(reason)

    @broker.on_expired
    async def expired(sid: str, data: dict[str, Any], rooms: frozenset[str]) -> None:
        diary.append(f"expired {sorted(rooms)} {data}")

    return broker, diary


async def test_it_has_its_id_rooms_data_and_what_it_has_missed(wire: Callable[..., Any]) -> None:
    broker, diary = make()
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            sid, pid = client.sid, client.pid
            assert len(sid) == 20
            assert pid is not None
            assert len(pid) >= 20
            await broker.emit("a")
        await wait_all_tasks_blocked()
        assert not broker.sockets
        assert not broker.rooms
        assert broker.room("general").size == 0
        assert await broker.fetch_sockets() == []
        assert (await broker.to("general").emit("b")).recipients == 0
        assert (await broker.emit("c", 1)).recipients == 0
        await broker.to(sid).emit("d", "text")
        await broker.to("elsewhere").emit("never")
        await broker.except_("general").emit("never")
        await broker.to("general").except_(sid).emit("never")
        await broker.volatile.emit("never")
        broker.to("general").emit_nowait("e")
        async with client.connection():
            assert client.recovered
            assert (client.sid, client.pid) == (sid, pid)
            socket = broker.sockets[sid]
            assert socket.recovered
            assert socket.joined_rooms == {"general"}
            assert socket.data == {"seat": 7}
            assert (await broker.to("general").emit("f")).recipients == 1
    assert client.got == [["a"], ["b"], ["c", 1], ["d", "text"], ["e"], ["f"]]
    assert diary == [
        "connection, recovered False",
        "transport close",
        "connection, recovered True",
        "transport close",
    ]


async def test_it_comes_back_though_it_has_had_no_event(wire: Callable[..., Any]) -> None:
    broker, _ = make()
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            pass
        await broker.emit("missed")
        assert client.offset is None
        async with client.connection():
            assert client.recovered
    assert client.names == ["missed"]


async def test_what_it_told_of_an_earlier_life_means_nothing_received_yet(
    wire: Callable[..., Any],
) -> None:
    """The official client keeps its last offset when it was not recovered."""
    first, _ = make()
    client = Returning(first, wire)
    async with first, client.connection():
        await first.emit("before")
    async with first:
        async with client.connection():
            assert not client.recovered
            assert client.offset is not None
        await first.emit("missed")
        async with client.connection():
            assert client.recovered
    assert client.names == ["before", "missed"]


async def test_it_comes_back_again_and_again(wire: Callable[..., Any]) -> None:
    broker, _ = make()
    client = Returning(broker, wire)
    expected = []
    async with broker:
        async with client.connection():
            sid = client.sid
        for number in range(5):
            await broker.emit(f"away {number}")
            async with client.connection():
                assert client.recovered
                assert client.sid == sid
                await broker.to("general").emit(f"here {number}")
            expected += [f"away {number}", f"here {number}"]
    assert client.names == expected


async def test_what_did_not_arrive_when_it_came_back_comes_when_it_comes_back_again(
    wire: Callable[..., Any],
) -> None:
    broker, _ = make()
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("a")
        await broker.emit("b")
        async with client.connection(deaf=True):
            assert client.recovered
            await broker.emit("c")
        await broker.emit("d")
        async with client.connection():
            assert client.recovered
    assert client.names == ["a", "b", "c", "d"]


async def test_the_new_connection_ends_the_old_one(wire: Callable[..., Any]) -> None:
    broker, diary = make()
    client = Returning(broker, wire)
    async with broker:
        async with client.connection(deaf=True):
            old = broker.sockets[client.sid]
            await broker.emit("a")
            async with client.connection():
                assert client.recovered
                new = broker.sockets[client.sid]
                assert new is not old
                assert not old.connected
                await broker.to("general").emit("b")
                await old.emit("never")  # whoever still holds it
        await wait_all_tasks_blocked()
        assert diary == [
            "connection, recovered False",
            "transport close",  # the last hook of the old one comes before the first of the new one
            "connection, recovered True",
            "transport close",
        ]
    assert client.names == ["a", "b"]


async def test_its_old_handlers_end_first_and_what_they_send_is_not_lost(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, diary = make()

    @broker.on("slow")
    async def slow(socket: Socket) -> None:
        await trio.sleep(3)
        await socket.emit("answer")
        await socket.join("late")

    @broker.on("disconnecting")
    async def going(socket: Socket, _reason: str) -> None:
        diary.append("going")
        await socket.broadcast.emit("left")
        await broker.to("general").emit("all")

    client = Returning(broker, wire)
    async with broker, client.connection(deaf=True) as line:
        await line.send('42["slow"]')
        began = trio.current_time()
        async with client.connection():
            assert trio.current_time() == began + 3
            assert client.recovered
            assert broker.sockets[client.sid].joined_rooms == {"general"}
            await wait_all_tasks_blocked()
    assert client.names == ["answer", "all"]
    assert diary[:4] == [
        "connection, recovered False",
        "going",
        "transport close",
        "connection, recovered True",
    ]


async def test_a_room_that_is_left_or_entered_inside_the_lost_window_replays_rightly(
    wire: Callable[..., Any],
) -> None:
    broker, _ = make()
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("known")
        async with client.connection(deaf=True):
            socket = broker.sockets[client.sid]
            await broker.to("late").emit("too early")
            await socket.join("late")
            await broker.to("late").emit("late")
            await broker.to("general").emit("general")
            await socket.leave("general")
            await broker.to("general").emit("left")
        await broker.to("general").emit("left")
        await broker.to("late", "general").emit("late still")
        async with client.connection():
            assert client.recovered
            assert broker.sockets[client.sid].joined_rooms == {"late"}
    assert client.names == ["known", "late", "general", "late still"]


@pytest.mark.parametrize("quiet", [WINDOW - 1, WINDOW + 1])
async def test_it_may_come_back_until_the_window_has_passed(
    quiet: float, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, diary = make()
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            sid = client.sid
            await broker.emit("a")
        await broker.emit("b")
        await trio.sleep(quiet)
        async with client.connection():
            assert client.recovered is (quiet < WINDOW)
            assert (client.sid == sid) is (quiet < WINDOW)
            assert broker.sockets[client.sid].recovered is (quiet < WINDOW)
            await broker.emit("c")
    if quiet < WINDOW:
        assert client.names == ["a", "b", "c"]
        assert not any(line.startswith("expired") for line in diary)
    else:
        assert client.names == ["a", "c"]
        assert diary[2] == "expired ['general'] {'seat': 7}"


async def test_a_quiet_connection_comes_back_however_old_its_last_event(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(connection_state_recovery=Recovery(), ping_interval=1e6)
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("a")
            await broker.emit("b")
            await trio.sleep(80_000)
        await broker.emit("c")
        async with client.connection():
            assert client.recovered
    assert client.names == ["a", "b", "c"]


async def test_who_has_gone_by_itself_or_was_put_out_does_not_come_back(
    wire: Callable[..., Any],
) -> None:
    broker, _ = make()
    client = Returning(broker, wire)
    async with broker:
        async with client.connection() as line:
            sid = client.sid
            await line.send("41")
            await wait_all_tasks_blocked()
        async with client.connection():
            assert not client.recovered
            assert client.sid != sid
            await broker.sockets[client.sid].disconnect()
        async with client.connection():
            assert not client.recovered


@pytest.mark.parametrize("events", [4, 5])
async def test_more_than_is_kept_is_no_part_but_a_new_socket(
    events: int, wire: Callable[..., Any]
) -> None:
    broker, _ = make(max_packets=4)
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("a")
        for number in range(events):
            await broker.emit(f"missed {number}")
        async with client.connection():
            assert client.recovered is (events == 4)
    assert client.names == ["a", *(f"missed {number}" for number in range(4) if events == 4)]


@pytest.mark.parametrize("size", [100, 1000])
async def test_what_is_kept_is_bounded_in_bytes(size: int, wire: Callable[..., Any]) -> None:
    broker, _ = make(max_bytes=1000)
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("a", 1)
            await broker.emit("large", "x" * 2000)
            await broker.emit("b", 1)
        await broker.emit("missed", "x" * size)
        async with client.connection():
            assert client.recovered is (size == 100)
    assert client.names == ["a", "large", "b", *(["missed"] if size == 100 else [])]


async def test_of_too_many_who_are_away_the_first_is_given_up(wire: Callable[..., Any]) -> None:
    broker, diary = make(max_absent=1)
    first, second = Returning(broker, wire), Returning(broker, wire)
    async with broker:
        async with first.connection(), second.connection():
            pass
        await wait_all_tasks_blocked()
        assert sum(line.startswith("expired") for line in diary) == 1
        async with second.connection(), first.connection():
            assert sorted([first.recovered, second.recovered]) == [False, True]


async def test_a_volatile_event_does_not_cost_the_client_its_seat(
    wire: Callable[..., Any],
) -> None:
    """The official client takes any text at the end of an event for its offset."""
    broker, _ = make()
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("a")
            await broker.volatile.emit("tick")
            await wait_all_tasks_blocked()
            await broker.volatile.emit("tick", "text")
            await wait_all_tasks_blocked()
            await broker.volatile.emit("tick", 1)
        await broker.emit("b")
        async with client.connection():
            assert client.recovered
    assert client.got == [["a"], ["tick"], ["tick", "text"], ["tick", 1], ["b"]]


async def test_questions_carry_no_offset_and_are_not_asked_again(wire: Callable[..., Any]) -> None:
    broker, _ = make()
    client = Returning(broker, wire)
    async with broker, client.connection() as line, trio.open_nursery() as nursery:
        nursery.start_soon(broker.sockets[client.sid].emit_with_ack, "question", "text")
        await wait_all_tasks_blocked()
        assert client.got == [["question", "text"]]
        await line.send("430[1]")
    assert client.offset is None


async def test_binary_events_are_sent_again_whole(wire: Callable[..., Any]) -> None:
    broker, _ = make()
    client = Returning(broker, wire)
    frames: list[object] = []
    async with broker:
        async with client.connection():
            await broker.emit("a")
        await broker.emit("binary", b"one", b"two")
        async with wire(broker) as line:
            await line.send(f'40{{"pid":"{client.pid}","offset":"{client.offset}"}}')
            await wait_all_tasks_blocked()
            frames = [await line.get() for _ in range(4)]
    assert str(frames[0]).startswith("40{")
    assert str(frames[1]).startswith('452-["binary",')
    assert frames[2:] == [b"one", b"two"]


async def test_middleware_is_skipped_or_may_refuse(wire: Callable[..., Any]) -> None:
    for skip in (True, False):
        broker, _ = make(skip_middlewares=skip)
        passed: list[bool] = []

        @broker.use
        async def check(socket: Socket, passed: list[bool] = passed) -> None:
            passed.append(socket.recovered)
            if socket.handshake.auth.get("bad"):
                raise ConnectError("no")
            if socket.recovered:
                assert socket.data == {"seat": 7}
            await socket.join("early")
            await socket.emit("welcome")

        client = Returning(broker, wire)
        async with broker:
            async with client.connection():
                sid = client.sid
            await broker.to("early").emit("a")
            if not skip:
                async with client.connection(bad=True):
                    assert client.refused == {"message": "no"}
                await broker.to("early").emit("b")
            async with client.connection():
                assert client.recovered
                assert client.sid == sid
                assert broker.sockets[sid].joined_rooms == {"early", "general"}
                await broker.to("early").emit("c")
        again = [] if skip else ["b", "welcome"]
        assert client.names == ["welcome", "a", *again, "c"]
        assert passed == [False] if skip else [False, True, True]


async def test_nothing_is_kept_of_old_sockets_and_of_those_who_do_not_come_back(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, _ = make()
    client, lost = Returning(broker, wire), Returning(broker, wire)
    old: list[weakref.ref[Socket]] = []

    def keep() -> None:
        old.extend(weakref.ref(socket) for socket in broker.sockets.values())

    async with broker:
        async with client.connection(), lost.connection():
            await broker.emit("a")
            keep()
        await broker.emit("b")
        async with client.connection():
            keep()
        async with client.connection():
            await trio.sleep(WINDOW + 1)
            await wait_all_tasks_blocked()
            gc.collect()
            assert [each() for each in old] == [None] * 3
            assert broker.statistics().sockets == 1
            seats = broker.of("/").seats
            assert seats is not None
            assert len(seats) == 1
            assert broker.of("/").running("test").away == {}
        await trio.sleep(WINDOW + 1)
        assert broker.statistics().rooms == 0
        assert len(seats) == 0


@pytest.mark.parametrize("end", ["close", "cancel"])
async def test_places_end_with_the_life_of_the_broker(
    end: str, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, diary = make()
    client = Returning(broker, wire)
    with trio.CancelScope() as scope:
        async with broker:
            async with client.connection():
                await broker.emit("a")
            await broker.emit("b")
            if end == "cancel":
                scope.cancel()
                await trio.sleep_forever()
    assert diary == ["connection, recovered False", "transport close"]
    async with broker, client.connection():
        assert not client.recovered
        await trio.sleep(2 * WINDOW)
    assert client.names == ["a"]


async def test_who_waits_for_the_old_socket_and_goes_leaves_nothing_behind(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, diary = make()

    @broker.on("slow")
    async def slow(_socket: Socket) -> None:
        await trio.sleep(3)

    client = Returning(broker, wire)
    async with broker:
        async with client.connection() as line:
            await line.send('42["slow"]')
            await wait_all_tasks_blocked()
            async with wire(broker) as second:
                await second.send(f'40{{"pid":"{client.pid}"}}')
                await second.send('42["slow"]')
                await wait_all_tasks_blocked()
            await trio.sleep(4)
        await broker.emit("a")
        async with client.connection():
            assert client.recovered
    assert client.names == ["a"]
    assert diary.count("transport close") == 2


async def test_a_test_client_sees_events_as_they_were_emitted() -> None:
    broker, _ = make()
    async with broker.test_client() as client:
        await broker.emit("a", 1, "text")
        await broker.emit("b")
        assert await client.expect("a") == (1, "text")
        assert await client.expect("b") == ()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_disconnection": 0}, "max_disconnection: expected more than 0"),
        ({"max_bytes": 0}, "max_bytes: expected a whole number"),
        ({"skip_middlewares": 1}, "skip_middlewares: expected True or False"),
    ],
)
def test_limits_that_cannot_be_meant_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Recovery(**wrong)


def test_the_option_is_a_recovery() -> None:
    with pytest.raises(TypeError, match="connection_state_recovery: expected None or a Recovery"):
        Broker(connection_state_recovery=True)


def test_what_is_called_for_the_lost_takes_three_arguments() -> None:
    with pytest.raises(TypeError, match=r"called with \(sid, data, rooms\)"):

        @Broker().on_expired
        async def expired(sid: str) -> None: ...


async def test_a_failing_on_expired_is_logged_and_harms_nobody(
    wire: Callable[..., Any], autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker, _ = make()

    @broker.on_expired
    async def broken(sid: str, data: object, rooms: object) -> None:
        raise RuntimeError("broken")

    @broker.on_expired
    async def endless(sid: str, data: object, rooms: object) -> None:
        await trio.sleep_forever()

    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            pass
        await trio.sleep(WINDOW + 10)
        async with client.connection():
            assert not client.recovered
    assert "broken failed" in caplog.text
    assert "endless was cancelled after disconnect_timeout=5 s" in caplog.text


async def test_what_a_join_that_runs_keeps_back_is_missed_when_the_connection_breaks(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, _ = make()

    @broker.room_type("table")
    class Table(Room):
        async def on_join(self, socket: Socket) -> None:
            await trio.sleep(1000)

    client = Returning(broker, wire)
    async with broker, trio.open_nursery() as nursery:
        async with client.connection():
            nursery.start_soon(broker.in_("general").sockets_join, "table")
            await wait_all_tasks_blocked()
            await broker.to("table").emit("never")
            await broker.to("general", "table").emit("a")
            await broker.to("general").emit("b")
            assert client.names == []
        await broker.to("table").emit("never")
        await broker.to("general", "table").emit("c")
        async with client.connection():
            assert client.recovered
            assert broker.sockets[client.sid].joined_rooms == {"general"}
        nursery.cancel_scope.cancel()
    assert client.names == ["a", "b", "c"]


async def test_all_namespaces_of_a_connection_come_back(wire: Callable[..., Any]) -> None:
    """Also one that a check lets in anew; the old connection still seems alive."""
    broker, _ = make()

    async def check(name: str, auth: dict[str, Any]) -> bool:
        return name == "/dynamic" and auth.get("token") == "good"

    broker.of(check)
    names = ("/", "/dynamic")

    async def come(line: Any, told: dict[str, Any]) -> dict[str, Any]:
        answers = {}
        for name in names:
            prefix = "" if name == "/" else f"{name},"
            await line.send(f"40{prefix}{json.dumps({'token': 'good', **told.get(name, {})})}")
        for _ in names:
            text = str(await line.get())[2:]
            name = "/dynamic" if text.startswith("/") else "/"
            answers[name] = json.loads(text[text.index("{") :])
        return answers

    async with broker, wire(broker) as old:
        first = await come(old, {})
        async with wire(broker) as new:
            again = await come(new, {name: {"pid": first[name]["pid"]} for name in names})
            assert again == first
            await broker.of("/dynamic").emit("here")
            assert str(await new.get()).startswith('42/dynamic,["here"')


async def test_a_child_namespace_is_there_as_long_as_somebody_may_come_back(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(connection_state_recovery=Recovery(), cleanup_empty_child_namespaces=True)
    broker.of(re.compile(r"^/child$"))
    client = Returning(broker, wire, "/child")
    async with broker:
        async with client.connection():
            await broker.of("/child").emit("a")
        await wait_all_tasks_blocked()
        await broker.of("/child").emit("b")
        async with client.connection():
            assert client.recovered
        assert client.names == ["a", "b"]
        assert broker.statistics().namespaces == 2
        await trio.sleep(WINDOW + 1)
        await wait_all_tasks_blocked()
        assert broker.statistics().namespaces == 1
        async with client.connection():
            assert not client.recovered
            assert client.pid is not None


async def test_listeners_to_what_goes_out_hear_what_a_client_may_miss(
    wire: Callable[..., Any],
) -> None:
    broker, _ = make()
    client = Returning(broker, wire)
    heard: list[object] = []
    async with broker:
        async with client.connection():
            socket = broker.sockets[client.sid]
            socket.on_any_outgoing(lambda event, *args: heard.append((event, args)))
            await broker.emit("a", 1)
            await socket.emit("b")
        await broker.emit("c")
        async with client.connection():
            assert client.recovered
    assert client.names == ["a", "b", "c"]
    assert heard == [("a", (1,)), ("b", ())]


async def test_who_is_away_is_asked_nothing_and_misses_no_question(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, _ = make()
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("a")
        answers = await broker.to("general").timeout(5).emit_with_ack("question")
        assert not answers.values
        assert not answers.missing
        async with client.connection():
            assert client.recovered
    assert client.names == ["a"]


@pytest.mark.parametrize("missed", [1, 3])
async def test_nothing_ages_while_it_may_still_be_asked_for(
    missed: int, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(
        ping_interval=0.2,
        ping_timeout=0.2,
        connection_state_recovery=Recovery(max_disconnection=1.0, skip_middlewares=False),
    )

    @broker.use
    async def slow(socket: Socket) -> None:
        if socket.recovered:
            await trio.sleep(4.5)

    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            pass
        for number in range(missed):
            await broker.emit(f"missed {number}")
        async with client.connection():
            assert client.recovered
    assert client.names == [f"missed {number}" for number in range(missed)]


async def test_a_last_hook_that_takes_its_time_does_not_age_what_is_missed(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(
        ping_interval=0.2,
        ping_timeout=0.2,
        connection_state_recovery=Recovery(max_disconnection=1.0),
    )

    @broker.on("disconnect")
    async def last(socket: Socket, reason: str) -> None:
        for number in range(3):
            await broker.emit(f"missed {number}")
        await trio.sleep(4.5)

    async with broker:
        async with Returning(broker, wire).connection():
            pass
        await trio.sleep(10)
        async with broker.test_client() as other:  # the broker lives
            assert other.connected
