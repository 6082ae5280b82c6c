"""atrio: a Socket.IO server on Trio, whose rooms are actors with a promised order.

>>> from broker import Broker
>>> broker = Broker()
>>> @broker.on("message")
... async def message(socket, text):
...     await broker.emit("message", text)
>>> broker.run("127.0.0.1", 3000)
"""

try:
    from .broker import Broker
    from .cluster.remote_socket import RemoteSocket
    from .handlers.handler import NO_ACK
    from .handlers.namespace_handlers import NamespaceHandlers
    from .rooms.messages import Delivery
    from .rooms.room import Room
    from .rooms.room_ref import RoomRef
    from .rooms.survey import Answers
    from .serving.http_hooks import ResponseHeaders
    from .serving.refusals import ConnectionFailure
    from .serving.server import Address
    from .sockets.namespace import Namespace
    from .sockets.received import ReceivedEvent
    from .sockets.socket import Socket
    from .values.errors import (
        BrokerNotRunning,
        ConnectError,
        EventError,
        JoinRefused,
        SocketDisconnected,
    )
    from .values.handshake import Request
    from .values.options import Options, Recovery
    from .values.reasons import DisconnectReason
    from .values.statistics import SocketStatistics
except ImportError as error:
    if (error.name or "").partition(".")[0] not in ("actors", "protocol"):
        raise
    raise ImportError(
        f"atrio needs its own package {error.name!r}, but another one comes before it in sys.path "
        f"({error.path}): give yours another name"
    ) from error

__all__ = [
    "NO_ACK",
    "Address",
    "Answers",
    "Broker",
    "BrokerNotRunning",
    "ConnectError",
    "ConnectionFailure",
    "Delivery",
    "DisconnectReason",
    "EventError",
    "JoinRefused",
    "Namespace",
    "NamespaceHandlers",
    "Options",
    "ReceivedEvent",
    "Recovery",
    "RemoteSocket",
    "Request",
    "ResponseHeaders",
    "Room",
    "RoomRef",
    "Socket",
    "SocketDisconnected",
    "SocketStatistics",
]
