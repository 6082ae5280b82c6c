"""An audit of a room server: what its clients saw must hold together.

It is told what clients do and see, and perhaps some facts by the server, and raises `AuditFailed`
at the report that shows that an invariant is broken, else in `finish`. It knows no network and no
Trio: any room server can be audited, simulated or real.

>>> audit = RoomAudit()
>>> ann, bob = audit.client("ann"), audit.client("bob")
>>> ann.joined("general")
>>> bob.joined("general")
>>> ann.sent("general", "hello")
>>> bob.saw("general", "hello")
>>> audit.finish()

The invariants, by the names that `AuditFailed.invariant` has:

- `total order`: in one stay a client sees positions (epoch, seq) of one epoch, rising.
- `agreement`: a position is the same message for everybody, and a message has one position. A room
  that is created anew has a new epoch.
- `one order`: what has no position fits one order: nobody saw first what others saw second. By
  room, or with `across_rooms` over all of them.
- `no gap`: positions rise by one, and of what one client sent nothing is missing between two
  messages of it, unless there was notice (`warned`, or the end of the connection).
- `membership`: nothing before a client asked to join or was told that it is in, nothing after it
  was told that it is out.
- `fifo`: what one client sent is seen in its order. By room, or with `across_rooms` over all.
- `at most once`: nobody sees a message twice.
- `ack once`: one ack for each message. `ack`: what was acknowledged has reached everybody who was
  in the room before it was sent, and stayed.
- `told`: who is told that it is in (out) is in (out) by the server's own account.
- `balance`: by the server's own account, one leave for each join, one end for each room.
- `one answer`: each request is answered, once, or the connection ends.
- `nothing left`: at the end the server has nothing left.
- `isolation`: a healthy client waits no longer than `patience`, whatever others do.
- `bounds`: what is measured stays within its limit.
"""

from .audited import AuditedClient, Words, audited
from .book import AuditFailed, Invariant, Position
from .client_side import AuditClient
from .room_audit import RoomAudit
from .server_side import ServerAccount

__all__ = [
    "AuditClient",
    "AuditFailed",
    "AuditedClient",
    "Invariant",
    "Position",
    "RoomAudit",
    "ServerAccount",
    "Words",
    "audited",
]
