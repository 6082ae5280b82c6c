"""How a broker reaches the other nodes of a cluster, and what an adapter of your own must do.

`RedisAdapter` joins brokers on one Redis, and Node's servers; it needs `pip install atrio[redis]`.
`Bus` joins several brokers in one process, for tests. With no adapter a broker is alone.
"""

from .bus import Bus, Weather
from .contract import Adapter, Link, ThisNode
from .redis import RedisAdapter

__all__ = ["Adapter", "Bus", "Link", "RedisAdapter", "ThisNode", "Weather"]
