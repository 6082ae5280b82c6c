"""How many namespaces, rooms and attachments, how long their names; and HTTP that takes long."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio_websocket
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, JoinRefused, Room, Socket

from .stalled import noting

Wire = Callable[..., Any]
PLACE = '{"_placeholder":true,"num":%d}'


def lines_of(caplog: pytest.LogCaptureFixture, option: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if f"{option}=" in record.getMessage()]


@pytest.fixture(autouse=True)
def _every_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "atrio")


# Namespaces.


async def test_one_namespace_too_many_is_refused_and_the_connection_stays(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(max_namespaces_per_connection=3)
    broker.of(re.compile("^/n[0-9]+$"))
    async with broker, wire(broker) as client:
        for name in ("/", "/n1", "/n2"):
            await client.enter(name)
        for name in ("/n3", "/n4"):
            await client.send(f"40{name},")
            answer = str(await client.get())
            assert answer.startswith(f"44{name},")
            assert (
                "max_namespaces_per_connection=3" in json.loads(answer.partition(",")[2])["message"]
            )
        await client.send('42/n4,["e"]')  # on its way before the refusal: nobody's fault
        await client.send("41/n1,")
        await client.enter("/n3")
        assert broker.statistics().sockets == 3
        assert len(lines_of(caplog, "max_namespaces_per_connection")) == 1


async def test_namespaces_that_are_being_looked_for_count(wire: Wire) -> None:
    broker = Broker(max_namespaces_per_connection=3)
    looked_for: list[str] = []

    @broker.of
    async def look(name: str, auth: object) -> bool:
        looked_for.append(name)
        await trio.sleep_forever()
        return True

    async with broker, wire(broker) as client:
        for number in range(5):
            await client.send(f"40/n{number},")
        assert [str(await client.get())[:6] for _ in range(2)] == ["44/n3,", "44/n4,"]
        assert looked_for == ["/n0", "/n1", "/n2"]


async def test_a_client_that_goes_on_asking_leaves_no_more_behind(wire: Wire) -> None:
    """Each refused name is remembered, as events for it may be on their way: the latest are."""
    broker = Broker(max_namespaces_per_connection=2)
    _, reasons = noting(broker)
    async with broker, wire(broker) as client:
        await client.enter()
        for number in range(5):
            await client.send(f"40/n{number},")
            assert str(await client.get()).startswith(f"44/n{number},")
        await client.send('42/n4,["e"]', '42/n3,["e"]')
        await wait_all_tasks_blocked()
        assert reasons == []
        await client.send('42/n0,["e"]')
        await wait_all_tasks_blocked()
        assert reasons == ["forced close"]


async def test_a_namespace_with_too_long_a_name_is_invalid(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(max_name_length=10)
    broker.of(re.compile("^/n+$"))
    name = "/" + "n" * 10
    with pytest.raises(ValueError, match="max_name_length=10"):
        broker.of(name)
    async with broker, wire(broker) as client:
        await client.enter(name[:10])
        for _ in range(2):
            await client.send(f"40{name},")
            assert await client.get() == f'44{name},{{"message":"Invalid namespace"}}'
        await client.enter()
        assert len(lines_of(caplog, "max_name_length")) == 1


# Rooms.


async def test_one_room_too_many_refuses_the_join_and_its_event(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(max_rooms_per_socket=2)
    sockets, _ = noting(broker)

    @broker.on("join")
    async def join(socket: Socket, *rooms: str) -> int:
        await socket.join(*rooms)
        return len(socket.joined_rooms)

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('420["join","a","b","c"]')
        answer = json.loads(str(await client.get())[3:])[0]["error"]
        assert answer["code"] == "join_refused"
        assert "max_rooms_per_socket=2" in answer["message"]
        (socket,) = sockets
        assert socket.joined_rooms == {"a", "b"}
        assert lines_of(caplog, "max_rooms_per_socket")
        await socket.join("a", socket.id)  # where it is
        with pytest.raises(JoinRefused) as refused:
            await socket.join("c")
        assert refused.value.room == "c"
        await broker.sockets_join("c")
        assert socket.joined_rooms == {"a", "b"}
        await socket.leave("a")
        await socket.join("c")
        assert socket.joined_rooms == {"b", "c"}
        assert "c" in broker.rooms
        assert caplog.text.count("Traceback") == 0


async def test_joins_that_run_count_and_those_that_were_cancelled_do_not(
    wire: Wire, autojump_clock: MockClock
) -> None:
    broker = Broker(max_rooms_per_socket=2)
    sockets, _ = noting(broker)

    @broker.room_type("slow:*")
    class Slow(Room):
        async def on_join(self, socket: Any) -> None:
            await trio.sleep(1)

    refused: list[str] = []

    async def join(room: str) -> None:
        try:
            await sockets[0].join(room)
        except JoinRefused as error:
            refused.append(error.room)

    async with broker, wire(broker) as client:
        await client.enter()
        await wait_all_tasks_blocked()
        with trio.move_on_after(0.5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(join, "slow:1")
                nursery.start_soon(join, "slow:2")
        assert sockets[0].joined_rooms == set()
        async with trio.open_nursery() as nursery:
            for number in (1, 2, 2, 1):  # two rooms, twice each
                nursery.start_soon(join, f"slow:{number}")
            await wait_all_tasks_blocked()
            assert refused == []
            nursery.start_soon(join, "slow:3")
            nursery.start_soon(join, "plain")
        assert sorted(refused) == ["plain", "slow:3"]
        assert sockets[0].joined_rooms == {"slow:1", "slow:2"}


async def test_a_room_with_too_long_a_name_is_a_mistake_at_the_call(wire: Wire) -> None:
    broker = Broker(max_name_length=10)
    sockets, _ = noting(broker)
    long = "r" * 11
    with pytest.raises(ValueError, match=r"max_name_length=10 characters, saw 11: 'rrrrrrrrrrr'"):
        broker.room(long)
    async with broker, wire(broker) as client:
        await client.enter()
        await wait_all_tasks_blocked()
        (socket,) = sockets
        await socket.join("ü" * 10)
        with pytest.raises(ValueError, match="max_name_length=10"):
            await socket.join(long)
        with pytest.raises(ValueError, match="max_name_length=10"):
            await broker.sockets_join(long)
        await socket.leave(long)
        assert (await broker.to(long).emit("e")).recipients == 0


# Events.


async def test_an_event_with_too_long_a_name_breaks_the_protocol(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(max_name_length=10)
    _, reasons = noting(broker)
    seen: list[str] = []

    @broker.on("ü" * 10)
    async def heard(socket: Socket, text: str) -> None:
        seen.append(text)

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send(f'42["{"ü" * 10}","{"x" * 100}"]', f'42["{"e" * 11}"]')
        with pytest.raises(trio_websocket.ConnectionClosed):
            await client.until("never")
        await wait_all_tasks_blocked()
        assert (seen, reasons) == (["x" * 100], ["forced close"])
        assert lines_of(caplog, "max_name_length")


@pytest.mark.parametrize("most", [1, 10, 12])
async def test_attachments_are_counted(
    most: int, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker() if most == 10 else Broker(max_attachments=most)
    _, reasons = noting(broker)
    got: list[int] = []

    @broker.on("e")
    async def heard(socket: Socket, *args: bytes) -> None:
        got.append(len(args))

    async with broker, wire(broker) as client:
        await client.enter()
        for count in (most, most + 1):
            places = ",".join(PLACE % number for number in range(count))
            await client.send(f'45{count}-["e",{places}]')
            if count == most:
                await client.send(*[b"a"] * count)
            await wait_all_tasks_blocked()
        assert (got, reasons) == ([most], ["forced close"])
        assert lines_of(caplog, "max_attachments")


# HTTP that takes long.


async def test_the_head_of_a_request_has_a_time(
    http: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(headers_timeout=3.0, ping_interval=1000.0)
    async with broker, http(broker) as client:
        await client.stream.send_all(b"GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: x\r\n")
        began = trio.current_time()
        assert await client.stream.receive_some() == b""
        assert trio.current_time() - began == pytest.approx(3.0)


async def test_the_body_of_a_request_has_a_time(
    http: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(request_timeout=3.0, ping_interval=1000.0)
    _, reasons = noting(broker)
    target = "/socket.io/?EIO=4&transport=polling"
    async with broker, http(broker) as client:
        _, _, opened = await client.request("GET", target)
        target = f"{target}&sid={json.loads(opened[1:])['sid']}"
        assert (await client.request("POST", target, b"40"))[0] == 200
        await client.stream.send_all(
            f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n42".encode()
        )
        began = trio.current_time()
        assert await client.stream.receive_some() == b""
        assert trio.current_time() - began == pytest.approx(3.0)
        await wait_all_tasks_blocked()
        assert reasons == ["transport error"]
