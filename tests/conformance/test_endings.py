"""How a client over polling is told that it has to go."""

from __future__ import annotations

import pytest

from .endpoint import packets
from .peers import Server


@pytest.mark.parametrize("waiting", [False, True])
@pytest.mark.parametrize(
    ("namespaces", "told"),
    [
        pytest.param(["40"], ["41"], id="one namespace"),
        pytest.param(["40", "40/chat,"], ["41", "41/chat,"], id="two namespaces"),
    ],
)
async def test_disconnect_comes_with_a_poll_of_its_own_before_the_close(
    meeting: Server, namespaces: list[str], told: list[str], waiting: bool
) -> None:
    """The official client handles a close at once, the packets beside it in its next turn.

    It would take a disconnect beside a close for a lost connection, and come back.
    """
    endpoint = meeting.endpoint
    async with endpoint.polling() as session:
        heard: list[str] = []
        for namespace in namespaces:
            await session.post(namespace)
            while not any(packet.startswith(namespace) for packet in heard):
                heard += packets(await session.get())
        if waiting:
            await session.begin_get()
        await session.elsewhere("POST", b'42["kick-me",true]')
        answer = await (session.connection.receive() if waiting else session.get())
        polls = [packets(answer)]
        while "1" not in polls[-1]:
            polls.append(packets(await session.get()))
        events = [packet for poll in polls[:-1] for packet in poll if packet.startswith("4")]
        assert [packet for packet in events if packet.startswith("41")] == told
        assert not [packet for packet in polls[-1] if packet.startswith("4")]
        assert (await session.elsewhere()).status == 400
