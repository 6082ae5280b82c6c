"""One client that never reads: `python -m tests.bench.stalled`.

The same for atrio, Node's server and python-socketio: what it costs in memory while 100,000 events
of 1 kB are broadcast, and what it costs a client that does read. Figures are of one run on one
machine; compare them with each other only. Linux, with `.ci/test` having been run once.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

HERE = Path(__file__).parent
SERVERS = HERE / "stalled_servers"
NODE_PACKAGES = HERE.parent / "conformance" / "package.json"
COMMANDS = {
    "atrio": [sys.executable, str(SERVERS / "atrio.py")],
    "node": ["node", str(SERVERS / "node.mjs"), str(NODE_PACKAGES)],
    "python-socketio": [sys.executable, str(SERVERS / "pysio.py")],
}
STALLED = 4
FLOOD = {"count": 100_000, "size": 1_000, "rate": 10_000}
PACED = {"count": 6_000, "size": 1_000, "rate": 2_000}
PAIRS = 5
_TIME = re.compile(rb'42\["tick",([0-9.]+),')
_MB = 1_000_000


@attrs.define
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    def send(self, order: dict[str, int]) -> None:
        """Have it begin to broadcast."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    @property
    def is_done(self) -> bool:
        """Whether it has said so."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 0)
        return bool(ready)

    def memory(self) -> int:
        """Return how many bytes it holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) * 1024


@contextmanager
def running(name: str) -> Iterator[Server]:
    """Run a server for the block, on a core of its own."""
    process = subprocess.Popen(
        COMMANDS[name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(process.pid, cores[:1])
    assert process.stdout is not None
    try:
        yield Server(process, int(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()


def connect(port: int, *, reads: bool) -> socket.socket:
    """Return a connected client's socket."""
    client = socket.socket()
    if not reads:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.settimeout(10)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    )
    client.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    seen = b""
    while b"0{" not in seen:
        seen += client.recv(4096)
    client.sendall(b"\x81\x82\0\0\0\0" + b"40")
    seen = b""
    while b"40{" not in seen:
        seen += client.recv(4096)
    client.settimeout(None)
    return client


def listen(server: Server, client: socket.socket, order: dict[str, int]) -> tuple[list[float], int]:
    """Send an order and read until all has come; return latencies in seconds, and most memory."""
    server.send(order)
    latencies: list[float] = []
    most = 0
    rest = b""
    while len(latencies) < order["count"]:
        ready, _, _ = select.select([client], [], [], 0.5)
        most = max(most, server.memory()) if len(latencies) % 500 < 50 else most
        if not ready:
            if server.is_done:
                break
            continue
        piece = client.recv(1 << 18)
        if not piece:
            break
        now = time.monotonic()
        seen = rest + piece
        end = 0
        for found in _TIME.finditer(seen):
            latencies.append(now - float(found[1]))
            end = found.end()
        rest = seen[max(end, len(seen) - 64) :]
    while not server.is_done:
        time.sleep(0.05)
    assert server.process.stdout is not None
    server.process.stdout.readline()
    return latencies, max(most, server.memory())


def flood(name: str) -> str:
    """Return what clients that never read cost a server in memory."""
    with running(name) as server:
        client = connect(server.port, reads=True)
        stalled = [connect(server.port, reads=False) for _ in range(STALLED)]
        before = server.memory()
        latencies, most = listen(server, client, FLOOD)
        for each in (client, *stalled):
            each.close()
    grown = (most - before) / _MB
    return f"{grown:8.1f} MB more, {len(latencies):,} of {FLOOD['count']:,} events to who reads"


def p99(name: str, *, stall: bool) -> float:
    """Return the p99 of the latency of a client that reads, in milliseconds."""
    with running(name) as server:
        client = connect(server.port, reads=True)
        stalled = [connect(server.port, reads=False) for _ in range(stall)]
        latencies, _ = listen(server, client, PACED)
        for each in (client, *stalled):
            each.close()
    return statistics.quantiles(latencies, n=100)[98] * 1e3


def main() -> None:
    """Measure and print."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    print(f"{STALLED} clients that never read, and one that does; {FLOOD}")
    for name in COMMANDS:
        print(f"  {name:16}{flood(name)}", flush=True)
    print(f"p99 of a client that reads, alone and beside one that does not; {PAIRS} pairs; {PACED}")
    for name in COMMANDS:
        pairs = [(p99(name, stall=False), p99(name, stall=True)) for _ in range(PAIRS)]
        ratio = statistics.median(beside / alone for alone, beside in pairs)
        alone, beside = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"  {name:16}{alone:8.2f} ms{beside:8.2f} ms, ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
