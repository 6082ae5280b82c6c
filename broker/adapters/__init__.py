"""How a broker reaches the other nodes of a cluster, and what an adapter of your own must do.

`RedisAdapter` joins brokers on one Redis, and Node's servers; an `Emitter` speaks to their clients
from a program that is no server. Both need `pip install atrio[redis]`.
`Bus` joins several brokers in one process, for tests. With no adapter a broker is alone.
"""

from .bus import Bus, Weather
from .contract import Adapter, Link, ThisNode
from .emitter import Emitter
from .redis import RedisAdapter

__all__ = ["Adapter", "Bus", "Emitter", "Link", "RedisAdapter", "ThisNode", "Weather"]
