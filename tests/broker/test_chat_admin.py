"""Who may look at the built-in chat's statistics."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio

from broker import ConnectError, Options
from broker.chat import Chat
from broker.serving import server as server_module
from broker.sessions.http import Peer

TOKEN = "t0ken-ünï"
ONLY_HERE = "Only this machine may look"
WRONG = "This is not the admin token."

Wire = Callable[..., Any]
ComeFrom = Callable[[str], None]


@pytest.fixture
def come_from(monkeypatch: pytest.MonkeyPatch) -> ComeFrom:
    """Make clients come from an address that no test can be sure to have."""

    def come_from(address: str) -> None:
        def peer_of(stream: trio.abc.Stream) -> Peer:
            return Peer(address, secure=False)

        monkeypatch.setattr(server_module, "_peer_of", peer_of)

    return come_from


async def ask_to_look(wire: Wire, chat: Chat, **headers: str) -> str:
    """The answer to who asks for `/admin` with these headers, and no token."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    async with wire(chat.broker, headers=raw) as client:
        await client.send("40/admin,")
        return str(await client.get())


async def test_without_a_token_this_machine_may(wire: Wire) -> None:
    chat = Chat()
    async with chat.broker:
        assert (await ask_to_look(wire, chat)).startswith('40/admin,{"sid"')


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1"])
async def test_this_machine_is_whoever_comes_by_loopback(
    wire: Wire, come_from: ComeFrom, address: str
) -> None:
    come_from(address)
    chat = Chat()
    async with chat.broker:
        assert (await ask_to_look(wire, chat)).startswith('40/admin,{"sid"')


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.1", "2001:db8::7", "nonsense"])
async def test_without_a_token_nobody_else_may(
    wire: Wire, come_from: ComeFrom, address: str
) -> None:
    come_from(address)
    chat = Chat()
    async with chat.broker:
        assert (await ask_to_look(wire, chat)).startswith("44/admin,")
        assert ONLY_HERE in await ask_to_look(wire, chat)
        assert "--admin-token" in await ask_to_look(wire, chat)
        # … who claims to be nearer than that
        assert ONLY_HERE in await ask_to_look(wire, chat, X_Forwarded_For="127.0.0.1")


@pytest.mark.parametrize(
    "header",
    [
        {"X_Forwarded_For": "192.0.2.7"},
        {"X_Forwarded_For": "127.0.0.1"},
        {"Forwarded": "for=192.0.2.7"},
    ],
)
async def test_a_proxy_on_this_machine_brings_others_who_may_not(
    wire: Wire, come_from: ComeFrom, header: dict[str, str]
) -> None:
    come_from("127.0.0.1")
    for options in (Options(), Options(trusted_proxies="127.0.0.0/8")):
        chat = Chat(options)
        async with chat.broker:
            assert ONLY_HERE in await ask_to_look(wire, chat, **header)


async def test_with_a_token_who_has_it_may_from_anywhere(wire: Wire, come_from: ComeFrom) -> None:
    come_from("192.0.2.7")
    chat = Chat(admin_token=TOKEN)
    headers = [(b"X-Forwarded-For", b"192.0.2.8")]
    async with chat.broker, wire(chat.broker, headers=headers) as client:
        await client.send("40/admin," + json.dumps({"token": TOKEN}))
        assert str(await client.get()).startswith('40/admin,{"sid"')


@pytest.mark.parametrize("token", ["", "t0ken", None, 7, [TOKEN], f"{TOKEN} ", TOKEN.upper()])
async def test_with_a_token_nobody_without_it_may_not_even_from_here(token: object) -> None:
    auth = {"token": token}
    chat = Chat(admin_token=TOKEN)
    async with chat.broker:
        with pytest.raises(ConnectError, match=WRONG):
            async with chat.broker.test_client("/admin", auth=auth):
                pass


async def test_who_is_refused_gets_no_statistics(wire: Wire) -> None:
    chat = Chat(admin_token=TOKEN)
    async with chat.broker, wire(chat.broker) as client:
        await client.send('40/admin,{"token":"wrong"}', '42/admin,1["getStats"]')
        refusal = str(await client.get())
        assert refusal.startswith("44/admin,")
        assert WRONG in refusal
        await client.enter("/chat", '{"name":"Anna"}')
        await client.send('42/chat,7["listUsers"]')
        heard = await client.until('43/chat,7[{"room":"general","users":["Anna"]}]')
        assert not [message for message in heard if "/admin" in str(message)]
