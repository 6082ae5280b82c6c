"""The adapters for Redis: what a program gives its broker."""

from __future__ import annotations

import attrs
from attrs.validators import gt, instance_of

from protocol.cluster.classic import Classic
from protocol.cluster.formats import PREFIX

from .contract import Adapter, Link, ThisNode
from .redis_server import URL, RedisServer, require_coredis, shown


@attrs.frozen
class RedisAdapter(Adapter):
    """Brokers on one Redis, and Node's servers with `createAdapter` of `@socket.io/redis-adapter`.

    `url`: `redis://user:password@host:port`, `rediss://…` with TLS, or `unix://path`. A password in
    it is not shown. All nodes of a cluster have the same `key`.

    `requests_timeout`: how long to wait for other nodes' answers, in seconds.
    `publish_on_specific_response_channel`: whether answers go to the node that asked only. In Node
    it is off unless it is set; nodes of either setting understand each other from 7.1 on.
    `timeout`: how long Redis may take to answer, in seconds: then the connection is made again.
    `max_waiting_bytes`: how much may wait to be sent; what does not fit is dropped, and counted.
    """

    url: str = attrs.field(default=URL, repr=shown)
    key: str = attrs.field(default=PREFIX, kw_only=True, validator=instance_of(str))
    requests_timeout: float = attrs.field(default=5.0, kw_only=True, validator=gt(0))
    publish_on_specific_response_channel: bool = attrs.field(default=True, kw_only=True)
    timeout: float = attrs.field(default=5.0, kw_only=True, validator=gt(0))
    max_waiting_bytes: int = attrs.field(default=16_000_000, kw_only=True, validator=gt(0))
    _server: RedisServer = attrs.field(init=False, repr=False)

    @_server.default
    def _default_server(self) -> RedisServer:
        return RedisServer(self.url, self.timeout)

    def __attrs_post_init__(self) -> None:
        require_coredis("RedisAdapter")

    def link(self, node: ThisNode) -> Link:
        """Return a link for a life that begins."""
        from .redis_pubsub import PubSubLink  # noqa: PLC0415 - it needs the extra

        format_ = Classic(self.key, answer_all=not self.publish_on_specific_response_channel)
        return PubSubLink(format_, self._server, self.max_waiting_bytes, node)
