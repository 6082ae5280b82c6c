"""The options: one frozen class, every default with its reason beside it.

Times are seconds (float), sizes are bytes (int).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import attrs

from broker.adapters.contract import Adapter, checked_adapter
from protocol.parser import Parser, ParserName
from protocol.socketio import MAX_ATTACHMENTS

from . import option_checks as checks
from .handshake import Request
from .option_checks import Network, TransportName
from .profile import PROFILES, ProfileName, Traps

AllowRequest: TypeAlias = Callable[[Request], Awaitable[bool | None]]
GenerateId: TypeAlias = Callable[[Request], str | Awaitable[str]]


@attrs.frozen(kw_only=True)
class EngineOptions:
    """What the Engine.IO layer needs to know."""

    path: str = attrs.field(default="/engine.io/", converter=checks.path)
    """The URL path of the endpoint."""

    transports: tuple[TransportName, ...] = attrs.field(
        default=("polling", "websocket"),  # what every client tries, in its order
        converter=checks.transports,
    )
    ping_interval: float = attrs.field(default=25.0, validator=checks.seconds)
    """From one answered ping to the next. Node's value: below the 30 s of many proxies."""

    ping_timeout: float = attrs.field(default=20.0, validator=checks.seconds)
    """How long a pong may take; as long again, once, from when something else comes instead. Node's
    value: a phone may lose its network for some seconds."""

    max_http_buffer_size: int = attrs.field(default=1_000_000, validator=checks.count)
    """The largest thing a client may send at once: a polling body, a websocket message."""

    max_packets_per_second: int | None = attrs.field(
        default=None,  # what a client's work is, the program knows: a game sends more than a chat
        validator=checks.optional_count,
    )
    """How many Engine.IO packets a client may send: events, acks, attachments, pongs. One that
    sends more is disconnected for the reason `rate limit`. None: any number."""

    max_bytes_per_second: int | None = attrs.field(
        default=None,  # as above
        validator=checks.optional_count,
    )
    """The same in bytes."""

    rate_burst: float = attrs.field(default=5.0, validator=checks.seconds)
    """So many seconds' worth of the two above a client may send at once when it has been quiet:
    when it connects again, it sends what it has kept. One message of `max_http_buffer_size` is
    always allowed then."""

    max_connections: int | None = attrs.field(
        default=None,  # what a machine can hold depends on the program
        validator=checks.optional_count,
    )
    """How many sessions there may be; the next handshake is answered 503. None: any number."""

    max_connections_per_address: int | None = attrs.field(
        default=None,  # behind a proxy that is not in `trusted_proxies` all have one address
        validator=checks.optional_count,
    )
    """How many sessions one address may have; the next handshake is answered 429. Of IPv6 a /64
    is one address: who has one has all of it. None: any number."""

    headers_timeout: float = attrs.field(default=60.0, validator=checks.seconds)
    """How long the head of an HTTP request may take, and the silence between two. Node's value."""

    request_timeout: float = attrs.field(default=300.0, validator=checks.seconds)
    """How long the body of an HTTP request may take. Node's value: a phone may be slow."""

    allow_upgrades: bool = attrs.field(default=True, validator=checks.flag)
    """Whether a polling session may go over to websocket; that is how most clients start."""

    upgrade_timeout: float = attrs.field(default=10.0, validator=checks.seconds)
    """How long an upgrade's probe may take; the polling session outlives it."""

    allow_request: AllowRequest | None = attrs.field(
        default=None,  # most decide by a namespace's middleware, which knows the client's `auth`
        validator=attrs.validators.optional(checks.async_function),
    )
    """Asked with the `Request` of each handshake whether the client may have a session. It may not
    when this returns False or raises `ConnectError(message)`: 403 with code 4 and the message,
    "Forbidden" for False; what else it raises is logged, and no client sees it. The `data` of a
    `ConnectError` is for middleware: an HTTP answer has no place for it."""

    generate_id: GenerateId | None = attrs.field(
        default=None,  # 20 random characters: nobody guesses another's
        validator=attrs.validators.optional(checks.function),
    )
    """Gives the id of each new session, from the `Request` of its handshake; async or not. Who
    knows an id can act for its client while that polls. What is no id, or is in use, and what this
    raises, is logged, and the client gets 400 with code 3."""

    middleware_timeout: float = attrs.field(default=10.0, validator=checks.seconds)
    """How long the program may take to let one client in: `allow_request`, `generate_id`, a
    namespace's middleware, `of(check)` for a name."""

    cors_allowed_origins: tuple[str, ...] = attrs.field(default=(), converter=checks.origins)
    """Origins that may connect besides the server's own; `"*"` = all. None by default: a page of
    somebody else must not act in the name of the user who looks at it."""

    cors_credentials: bool = attrs.field(default=False, validator=checks.flag)
    """Whether foreign pages may send cookies along. Off: cookies are what such an attack uses."""

    cookie: str | None = attrs.field(default=None, converter=checks.cookie)
    """Name of a cookie with the session's id, for sticky load balancers; True = "io". None: most
    have no use for it."""

    http_compression: int | None = attrs.field(
        default=checks.COMPRESSED_FROM,
        converter=checks.threshold,
        validator=checks.optional_count,
    )
    """From how many bytes on the answer to a poll is compressed, if the client takes that. None or
    False: never. On, as in Node: who polls often has a slow network, and a poll has all that waits
    in one piece."""

    per_message_deflate: int | None = attrs.field(
        default=None,
        converter=checks.threshold,
        validator=checks.optional_count,
    )
    """From how many bytes on a websocket message is deflated, for clients that offer it; True =
    1024. None or False: never, and what clients send is not deflated either. Off, as in Node: small
    events gain nothing, and each large one costs 10 ms of the loop per megabyte."""

    max_outbox_bytes: int = attrs.field(default=4_000_000, validator=checks.count)
    """What may wait for one client. Four times the largest message a client may send."""

    max_outbox_packets: int = attrs.field(default=10_000, validator=checks.count)
    """The same in packets: a packet costs memory of its own, however small it is."""

    overflow: Literal["disconnect", "drop_oldest", "drop_newest"] = attrs.field(
        default="disconnect",  # it reconnects and asks again: better than a hole in its events
        validator=checks.one_of("disconnect", "drop_oldest", "drop_newest"),
    )
    """What happens when an event does not fit into an outbox: its client is disconnected, or the
    oldest events that wait there are dropped, or the new one is. Acks are never dropped."""

    slow_timeout: float = attrs.field(default=30.0, validator=checks.seconds)
    """How long an outbox may stay above half of its limits before the client counts as slow."""

    max_inbox_bytes: int = attrs.field(default=4_000_000, validator=checks.count)
    """What may wait for one socket's handlers before its client is read no further."""

    max_inbox_packets: int = attrs.field(default=1_000, validator=checks.count)
    """The same in events."""

    flush_delay: float = attrs.field(default=0.001, validator=checks.at_least(0))
    """The longest an event waits for others to be written with it: a thousandth of what people
    notice, and long enough to write a burst at once."""

    grace: float = attrs.field(default=5.0, validator=checks.at_least(0))
    """How long `close` waits for clients and handlers. Below the 10 s service managers give."""

    trusted_proxies: tuple[Network, ...] = attrs.field(default=(), converter=checks.networks)
    """Networks whose `X-Forwarded-*` headers are believed; anybody can write such a header."""

    healthz: str | None = attrs.field(default=None, validator=checks.optional_path)
    """Path that answers 200 while everything that must run runs. Off: the path is the user's."""

    profile: ProfileName = attrs.field(
        default="strict",  # nobody wants a trap that he does not know
        validator=checks.one_of(*PROFILES),
    )
    """What becomes of Node's traps: `strict` mends them; with `node` they are as in Node, for
    programs that come from there and may rest on one. See `traps`."""

    @property
    def traps(self) -> Traps:
        """Which of Node's traps are there: what `profile` means."""
        return PROFILES[self.profile]


@attrs.frozen(kw_only=True)
class Recovery:
    """For how long, and how much, a client that has lost its connection may come back to.

    Its socket's id, rooms and data, and the events it has missed, are kept. More than this is not,
    and never a part: then the client comes back as a new one. Raises ValueError or TypeError.
    """

    max_disconnection: float = attrs.field(default=120.0, validator=checks.seconds)
    """How long a client may be away. Node's value: a tunnel, a lift, a sleeping page."""

    skip_middlewares: bool = attrs.field(default=True, validator=checks.flag)
    """Whether who comes back is let in without middleware, which has let it in before. As in Node;
    off, middleware may still refuse it."""

    max_bytes: int = attrs.field(default=1_000_000, validator=checks.count)
    """What is kept of the events of one socket, to be sent again. A quarter of what may wait for a
    client, so that coming back does not fill its outbox. Events are shared, not copied."""

    max_packets: int = attrs.field(default=1_000, validator=checks.count)
    """The same in packets."""

    max_absent: int = attrs.field(default=10_000, validator=checks.count)
    """How many clients may be away in one namespace; of more, the first to go are given up. So a
    network that fails for all does not fill the memory."""


def _recovery(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, Recovery):
        raise TypeError(f"{attribute.name}: expected None or a Recovery(...), saw {value!r}")


@attrs.frozen(kw_only=True)
class Options(EngineOptions):
    """What a `Broker` needs to know: `Broker(Options(ping_interval=10))`."""

    path: str = attrs.field(default="/socket.io/", converter=checks.path)
    """The URL path of the endpoint: where every client looks by default."""

    connect_timeout: float = attrs.field(default=45.0, validator=checks.seconds)
    """How long a connection may be in no namespace, and an event waits for a loop to begin. Node's
    value."""

    max_namespaces_per_connection: int = attrs.field(default=100, validator=checks.count)
    """How many namespaces one client may be in. More than a program has, unless a client makes
    them up, where they are dynamic: each costs a socket, and maybe a namespace."""

    max_rooms_per_socket: int = attrs.field(default=1_000, validator=checks.count)
    """How many rooms one socket may be in, besides its own. More than anybody can follow; it is
    there for programs that join whatever a client names."""

    max_name_length: int = attrs.field(default=255, validator=checks.count)
    """The longest name of a namespace, room or client's event, in characters. As long as a file's:
    for names that people or programs give, not for content."""

    max_attachments: int = attrs.field(default=MAX_ATTACHMENTS, validator=checks.count)
    """How many binary values a client's event or ack may hold. As in Node: each may be as large as
    `max_http_buffer_size`."""

    handler_grace: float = attrs.field(default=5.0, validator=checks.at_least(0))
    """How long the handlers of a client that has gone may go on."""

    handler_timeout: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(checks.seconds)
    )
    """How long one handler may run; None: a handler may wait for people."""

    disconnect_timeout: float = attrs.field(default=5.0, validator=checks.at_least(0))
    """How long the disconnect hooks of one socket may take, shielded from cancellation; the same
    for the last hooks of a room, and for the answer to an `ask` that is cancelled."""

    cleanup_empty_child_namespaces: bool = attrs.field(default=False, validator=checks.flag)
    """Whether a namespace that came to be by a pattern or check ends when nobody needs it. Off, as
    in Node; to turn it on where clients choose the names, lest there be more and more."""

    ack_timeout: float = attrs.field(default=10.0, validator=checks.seconds)
    """How long an ack may take when the call does not say. Node waits forever, and leaks."""

    @property
    def admission_timeout(self) -> float:
        """How long a namespace may take to let one client in, or to come to be for it."""
        return math.inf if self.traps.admission_has_no_deadline else self.middleware_timeout

    @property
    def socket_ack_timeout(self) -> float:
        """The same when one socket alone is asked."""
        return math.inf if self.traps.acks_of_one_have_no_deadline else self.ack_timeout

    parser: ParserName | Parser = attrs.field(default="json", validator=checks.parser)
    """What lies in the messages; clients need the same. Every client has JSON."""

    connection_state_recovery: Recovery | None = attrs.field(
        default=None,  # every event has one more argument for it, and is kept for a while
        validator=_recovery,
    )
    """Whether a client that has lost its connection comes back to its id, rooms and data, and gets
    what it has missed: `Recovery(max_disconnection=120.0, ...)`."""

    adapter: Adapter | None = attrs.field(
        default=None,  # one process is enough for most, and needs nothing else that runs
        validator=checked_adapter,
    )
    """How this broker reaches others, so that they are nodes of one cluster; see `broker.adapters`.
    None: it is alone, and that costs nothing."""


PUBLIC: Mapping[str, int] = MappingProxyType(
    {
        "max_packets_per_second": 100,  # a position sixty times a second, and some room
        "max_bytes_per_second": 500_000,  # two clients fill a line of 10 Mbit/s
        "max_connections_per_address": 100,  # an office or a school behind one address
    }
)
"""What is recommended where anybody may connect: options that are off by default."""


@attrs.frozen
class Drain:
    """How a broker lets its clients go in waves; raises ValueError."""

    batch: int = attrs.field(default=100, validator=checks.count)
    """Sessions of one wave. So many connect again at once, each with its first requests."""

    interval: float = attrs.field(default=1.0, validator=checks.seconds)
    """From one wave to the next: the others have mostly found their new place by then."""
