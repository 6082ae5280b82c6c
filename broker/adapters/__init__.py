"""How a broker reaches the other nodes of a cluster, and what an adapter of your own must do.

`Bus` joins several brokers in one process, for tests. With no adapter a broker is alone.
"""

from .bus import Bus, Weather
from .contract import Adapter, Link, ThisNode

__all__ = ["Adapter", "Bus", "Link", "ThisNode", "Weather"]
