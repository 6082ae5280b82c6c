"""The chat that `atrio serve` serves: three rooms, live statistics, a page at `/`.

It is an example, too: all of it stands on the public face of the broker.
"""

from .app import Chat

__all__ = ["Chat"]
