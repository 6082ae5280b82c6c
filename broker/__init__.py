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
    from .errors import (
        BrokerNotRunning,
        ConnectError,
        EventError,
        JoinRefused,
        SocketDisconnected,
    )
    from .handler import NO_ACK
    from .handshake import Request
    from .http_hooks import ResponseHeaders
    from .messages import Delivery
    from .namespace import Namespace
    from .namespace_handlers import NamespaceHandlers
    from .options import Options, Recovery
    from .reasons import DisconnectReason
    from .received import ReceivedEvent
    from .refusals import ConnectionFailure
    from .room import Room
    from .room_ref import RoomRef
    from .server import Address
    from .socket import Socket
    from .statistics import SocketStatistics
    from .survey import Answers
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
    "Request",
    "ResponseHeaders",
    "Room",
    "RoomRef",
    "Socket",
    "SocketDisconnected",
    "SocketStatistics",
]
