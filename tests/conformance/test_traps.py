"""The profile `node`: what it does is what Node does. The same rows, against both servers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from .endpoint import Endpoint
from .peers import Servers
from .wire import Rejected, WebSocket

TOLD = '42["told","{}"]'


@pytest.fixture
def traps(servers: Servers) -> Endpoint:
    """The app that rests on Node's traps; connect timeout 1 s, default heartbeat."""
    return servers["traps"].endpoint


@asynccontextmanager
async def opened(traps: Endpoint) -> AsyncIterator[WebSocket]:
    async with traps.websocket() as websocket:
        assert (await websocket.receive_text()).startswith("0{")
        yield websocket


async def enter(websocket: WebSocket, namespace: str = "") -> str:
    """Connect to a namespace, which must be the next thing, and return the socket's id."""
    reply = str(await websocket.exchange(f"40{namespace}"))
    assert reply.startswith(f"40{namespace}{{"), reply
    return str(json.loads(reply.removeprefix(f"40{namespace}"))["sid"])


async def alone(websocket: WebSocket) -> None:
    """Make sure that nothing has come until now, and that the connection lives."""
    assert await websocket.exchange('429["echo","still here"]') == '439["still here"]'


async def test_an_empty_list_of_rooms_is_everybody(traps: Endpoint) -> None:
    async with opened(traps) as one, opened(traps) as other:
        await enter(one)
        await enter(other)
        assert await one.exchange('42["tell",[],"all"]') == TOLD.format("all")
        assert await other.receive() == TOLD.format("all")


async def test_the_room_of_another_socket_may_be_joined(traps: Endpoint) -> None:
    async with opened(traps) as one, opened(traps) as other:
        sid = await enter(one)
        await enter(other)
        assert await other.exchange(f'421["join","{sid}"]') == "431[true]"
        await other.send(f'42["tell",["{sid}"],"private"]')
        assert await one.receive() == TOLD.format("private")
        assert await other.receive() == TOLD.format("private")
        # What goes to the socket by no room is its own, and who listens is left out with it.
        assert await one.exchange('42["tell-me","own"]') == TOLD.format("own")
        assert await other.exchange('422["join","a"]') == "432[true]"
        await one.send('42["tell-others","a","to a"]')
        await alone(one)
        await alone(other)


async def test_a_socket_may_leave_its_own_room(traps: Endpoint) -> None:
    async with opened(traps) as websocket:
        sid = await enter(websocket)
        assert await websocket.exchange('421["join","a"]') == "431[true]"
        await websocket.send('42["tell-others","a","to others"]')
        await alone(websocket)
        assert await websocket.exchange('422["leave-own"]') == "432[false]"
        assert await websocket.exchange('42["tell-others","a","hers"]') == TOLD.format("hers")
        await websocket.send(f'42["tell",["{sid}"],"lost"]')
        await alone(websocket)
        assert await websocket.exchange('42["tell-me","direct"]') == TOLD.format("direct")
        assert await websocket.exchange(f'423["join","{sid}"]') == "433[true]"
        await websocket.send('42["tell-others","a","to others again"]')
        await alone(websocket)


async def test_middleware_that_fails_is_no_answer(traps: Endpoint) -> None:
    async with opened(traps) as websocket:
        await enter(websocket)
        await websocket.send("40/failing,")
        await alone(websocket)


async def test_a_check_that_never_answers_is_no_answer(traps: Endpoint) -> None:
    async with opened(traps) as websocket:
        await websocket.send("40/never,")
        await websocket.end()  # by the connect timeout


async def test_what_middleware_emits_comes_before_the_connect_packet(traps: Endpoint) -> None:
    async with opened(traps) as websocket:
        assert await websocket.exchange("40/greeting,") == '42/greeting,["session","before"]'
        assert (await websocket.receive_text()).startswith("40/greeting,{")


async def test_what_middleware_emits_comes_though_it_refuses(traps: Endpoint) -> None:
    async with opened(traps) as websocket:
        await websocket.send('40/greeting,{"refuse":true}')
        assert await websocket.receive() == '42/greeting,["session","before"]'
        assert await websocket.receive() == '44/greeting,{"message":"no"}'


async def test_a_handler_that_fails_gives_no_ack(traps: Endpoint) -> None:
    async with opened(traps) as websocket:
        await enter(websocket)
        await websocket.send('421["fail"]')
        await alone(websocket)


async def test_a_refused_handshake_is_400_on_websocket_alone(traps: Endpoint) -> None:
    with pytest.raises(Rejected) as rejected:
        async with traps.websocket(banned="yes"):
            pass
    answer = rejected.value.answer
    assert (answer.status, answer.headers["content-type"]) == (400, "text/html")
    assert answer.text == "Forbidden"
    answer = await traps.request("GET", traps.target(banned="yes"))
    assert (answer.status, answer.json) == (403, {"code": 4, "message": "Forbidden"})


async def test_who_has_left_its_last_namespace_may_stay(traps: Endpoint) -> None:
    async with opened(traps) as websocket:
        await enter(websocket)
        await websocket.send("41")
        await trio.sleep(1.5)  # more than the connect timeout
        await enter(websocket)
        await alone(websocket)


@pytest.mark.parametrize("packet", ["42", "427", "43", "431"])
async def test_an_event_or_ack_without_its_array_is_ignored(traps: Endpoint, packet: str) -> None:
    async with opened(traps) as websocket:
        await enter(websocket)
        await websocket.send(packet)
        await alone(websocket)


@pytest.mark.parametrize(
    ("packet", "answer"),
    [('42 ["echo","x"]', '430["x"]'), ('42 7["echo","x"]', '437["x"]')],
)
async def test_white_space_is_read_as_in_a_number(
    traps: Endpoint, packet: str, answer: str
) -> None:
    async with opened(traps) as websocket:
        await enter(websocket)
        assert await websocket.exchange(packet) == answer
