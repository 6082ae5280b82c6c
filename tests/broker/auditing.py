"""What the tests of the audit share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from broker.audit import AuditClient, AuditFailed, RoomAudit

A = ("ann", 1)  # messages are any hashable values
B = ("ann", 2)
C = ("ann", 3)
D = ("bob", 1)


def inside(audit: RoomAudit, *names: str, room: str = "r") -> list[AuditClient]:
    clients = [audit.client(name) for name in names]
    for client in clients:
        client.joined(room)
    return clients


def breaks(invariant: str, report: Callable[[], object], *words: str) -> None:
    with pytest.raises(AuditFailed) as failed:
        report()
    assert failed.value.invariant == invariant
    for word in (invariant, *words):
        assert word in str(failed.value)
