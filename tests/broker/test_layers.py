"""The imports point downwards: between the packages, and inside `broker`, whose order is here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# From the bottom to the top: the packages and their files. A file imports only files before it; a
# new one is put in its place.
BROKER: list[tuple[str, list[str]]] = [
    (
        "adapters",
        ["contract", "bus", "redis_server", "redis_connection", "redis_pubsub", "redis", "emitter"],
    ),
    (
        "values",
        [
            "reasons",
            "errors",
            "handshake",
            "profile",
            "option_checks",
            "options",
            "encoded",
            "statistics",
        ],
    ),
    (
        "handlers",
        [
            "payload",
            "handler",
            "listeners",
            "registry",
            "namespace_handlers",
            "dispatch",
        ],
    ),
    (
        "sessions",
        [
            "receiver",
            "timers",
            "idlers",
            "latch",
            "history",
            "heartbeat",
            "rates",
            "inbox",
            "held",
            "transport",
            "flusher",
            "outbox",
            "recorder",
            "compression",
            "http",
            "wire",
            "websocket",
            "polling",
            "pressure",
            "farewells",
            "session",
        ],
    ),
    (
        "rooms",
        [
            "events",
            "acks",
            "survey",
            "messages",
            "seat",
            "fanout",
            "room_events",
            "room_actor",
            "room_host",
            "namespace_routes",
            "namespace_calls",
            "namespace_actor",
            "resting",
            "target",
            "family",
            "room_ref",
            "room",
            "home",
        ],
    ),
    (
        "cluster",
        [
            "requests",
            "remote_socket",
            "server_events",
            "inbound",
            "cluster_target",
            "node",
        ],
    ),
    (
        "sockets",
        [
            "gate",
            "outgoing",
            "received",
            "worker",
            "loops",
            "hooks",
            "socket_nursery",
            "event_handling",
            "socket_events",
            "ending",
            "membership",
            "socket_seat",
            "socket",
            "admission",
            "namespace",
            "directory",
            "multiplexer",
        ],
    ),
    (
        "serving",
        [
            "refusals",
            "http_hooks",
            "origins",
            "static",
            "upgrade",
            "life",
            "places",
            "door",
            "endpoint",
            "gateway",
            "server",
        ],
    ),
    (
        "testing",
        [
            "trios",
            "carriers",
            "line",
            "client",
        ],
    ),
    ("", ["engine", "broker", "__init__"]),  # the face
    ("chat", ["room", "app"]),
    ("", ["cli"]),
    (
        "audit",
        [
            "order",
            "book",
            "waits",
            "server_side",
            "client_side",
            "room_audit",
            "audited",
        ],
    ),
]

# The one file that needs what Trio does not offer; it tests itself when it is imported.
SEAM = ROOT / "actors" / "sim" / "seam.py"

FILES = sorted(
    file for package in ("actors", "protocol", "broker") for file in (ROOT / package).rglob("*.py")
)


def imports(file: Path) -> list[tuple[str, str]]:
    """Return (module, name) of each import, relative ones made absolute."""
    package = list(file.relative_to(ROOT).parent.parts)
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = ROOT / Path(*module.split(".")) / f"{alias.name}.py"
                found.append(
                    (f"{module}.{alias.name}", "") if inner.exists() else (module, alias.name)
                )
    return found


@pytest.mark.parametrize("package", ["actors", "protocol"])
def test_the_lower_packages_import_nothing_else_of_ours(package: str) -> None:
    others = {"actors", "protocol", "broker"} - {package}
    files = [file for file in FILES if file.relative_to(ROOT).parts[0] == package]
    assert files
    for file in files:
        wrong = [module for module, _ in imports(file) if module.split(".")[0] in others]
        assert not wrong, f"{file.relative_to(ROOT)} imports {wrong}"


def test_protocol_knows_neither_trio_nor_a_clock_nor_sockets() -> None:
    for file in (ROOT / "protocol").rglob("*.py"):
        wrong = {module for module, _ in imports(file)} & {"trio", "time", "socket", "asyncio"}
        assert not wrong, f"{file.name} imports {wrong}"


def test_inside_broker_a_lower_file_never_imports_a_higher_one() -> None:
    order = [".".join(filter(None, ("broker", p, file))) for p, files in BROKER for file in files]
    place = {name: number for number, name in enumerate(order)}
    place["broker"] = place["broker.__init__"]
    for file in (ROOT / "broker").rglob("*.py"):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        if name not in place:
            assert file.name == "__init__.py", f"give {name} its place in the order"
            continue
        for module, _ in imports(file):
            assert place.get(module, -1) < place[name], f"{name} imports {module}"


def test_the_chat_uses_the_public_face_only() -> None:
    for file in (ROOT / "broker" / "chat").glob("*.py"):
        wrong = [module for module, _ in imports(file) if module.startswith("broker.")]
        assert not [module for module in wrong if not module.startswith("broker.chat.")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_is_honest_about_what_it_needs(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= 400
    assert "TYPE_CHECKING" not in text
    own = file.relative_to(ROOT).parts[0]
    private = [
        f"{module}.{name}"
        for module, name in imports(file)
        if module.split(".")[0] != own
        and any(
            part.startswith("_") and part != "__future__" for part in (*module.split("."), name)
        )
    ]
    assert not private or file == SEAM
