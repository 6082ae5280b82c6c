"""From polling to websocket: the probe.

    client: websocket with the session's sid; `2probe`      server: `3probe`, and ends the poll
    client: `5`                                              server: goes over to the websocket

Source: the Engine.IO protocol document, "Upgrade", and engine.io 6.6 (`socket.ts`, `maybeUpgrade`).
Until `5` the session goes on polling, and outlives a probe that fails or takes too long.
"""

from __future__ import annotations

import logging

import trio

from broker.sessions.polling import PollingTransport
from broker.sessions.session import Session
from broker.sessions.websocket import WebSocketTransport
from broker.values.options import EngineOptions
from protocol import ProtocolError, engineio

logger = logging.getLogger("atrio.session")


class Upgrade:
    """One attempt to take a polling session over to a websocket."""

    def __init__(self, session: Session, websocket: WebSocketTransport) -> None:
        assert isinstance(session.transport, PollingTransport)
        self._session = session
        self._polling = session.transport
        self._websocket = websocket
        self._receives = session.receives
        self._probed = False
        self._done = False

    async def run(self, options: EngineOptions) -> None:
        """Carry the websocket, and the session with it once it has come over."""
        websocket, session = self._websocket, self._session
        session.probed_by(websocket)
        deadline = session.services.timers.after(options.upgrade_timeout, self._give_up)
        try:
            kept_rules = await websocket.carry(lambda: None, self._receive)
        finally:
            deadline.cancel()
            if not self._done:
                session.probed_by(None)
                self._polling.probe(probing=False)
        if self._done:
            session.websocket_ended(kept_rules=kept_rules)

    def _receive(self, message: str | bytes) -> trio.Event | None:
        if self._done:
            return self._receives(message)
        if self._session.ended:
            return None
        try:
            packet = engineio.decode(message)
        except ProtocolError:
            packet = None
        match packet:
            case engineio.Packet(engineio.PacketType.PING, "probe"):
                self._probed = True
                self._websocket.answer(b"3probe")
                self._polling.probe(probing=True)
            case engineio.Packet(engineio.PacketType.UPGRADE) if self._probed:
                self._done = True
                self._session.upgrade(self._websocket)
            case _:
                self._websocket.close()
        return None

    def _give_up(self) -> None:
        if not self._done:
            logger.info(
                "session %s goes on polling: its upgrade took longer than upgrade_timeout=%g s",
                self._session.id,
                self._session.services.options.upgrade_timeout,
            )
            self._websocket.close()
