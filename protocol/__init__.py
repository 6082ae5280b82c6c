"""Sans-IO codecs: Engine.IO 4, Socket.IO 5 and the websocket frames that carry them.

Bytes in, packets out, and back: no trio, no clock, no sockets. Bad bytes raise `ProtocolError`.
"""

from .errors import ProtocolError

__all__ = ["ProtocolError"]
