"""The imports point downwards: between the packages, and inside `broker`, whose order is here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# From the bottom to the top. A file imports only files before it; a new one is put in its place.
BROKER = [
    "py",
    "reasons",
    "receiver",
    "errors",
    "audit_order",
    "audit_book",
    "audit_waits",
    "audit_server",
    "audit_client",
    "audit",
    "audited",
    "handshake",
    "profile",
    "option_checks",
    "options",
    "encoded",
    "timers",
    "history",
    "heartbeat",
    "rates",
    "statistics",
    "inbox",
    "payload",
    "handler",
    "handlers",
    "registry",
    "namespace_handlers",
    "events",
    "acks",
    "survey",
    "messages",
    "seat",
    "fanout",
    "dispatch",
    "held",
    "flusher",
    "outbox",
    "recorder",
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
    "gate",
    "outgoing",
    "home",
    "compression",
    "http",
    "refusals",
    "http_hooks",
    "origins",
    "static",
    "wire",
    "websocket",
    "polling",
    "pressure",
    "farewells",
    "session",
    "upgrade",
    "life",
    "places",
    "door",
    "endpoint",
    "gateway",
    "server",
    "engine",
    "received",
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
    "carriers",
    "test_line",
    "test_client",
    "broker",
    "__init__",
    "cli",
    "__main__",
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
    for file in (ROOT / "protocol").glob("*.py"):
        wrong = {module for module, _ in imports(file)} & {"trio", "time", "socket", "asyncio"}
        assert not wrong, f"{file.name} imports {wrong}"


def test_inside_broker_a_lower_file_never_imports_a_higher_one() -> None:
    files = {file.stem: file for file in (ROOT / "broker").glob("*.py")}
    assert set(files) <= set(BROKER), "give the new file its place in the order"
    for name, file in files.items():
        for module, _ in imports(file):
            parts = module.split(".")
            if parts[0] == "broker" and len(parts) > 1 and parts[1] in BROKER:
                assert BROKER.index(parts[1]) < BROKER.index(name), f"{name} imports {parts[1]}"


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
