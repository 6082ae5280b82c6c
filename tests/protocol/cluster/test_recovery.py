"""What Node's streams adapter keeps of a client that is away."""

from __future__ import annotations

import base64

import msgspec
import pytest

from protocol import ProtocolError
from protocol.cluster.messages import Recipients
from protocol.cluster.recovery import (
    SavedSession,
    dumps_session,
    is_offset,
    key_of,
    loads_session,
    next_offset,
)

pack = msgspec.msgpack.encode
SESSION = SavedSession("s1", "p1", ("s1", "room1"), {"name": "ann", "photo": b"\1"})
SAID = {
    "sid": "s1",
    "pid": "p1",
    "rooms": ["s1", "room1"],
    "data": {"name": "ann", "photo": b"\1"},
}


def test_a_session_is_nodes() -> None:
    assert key_of("p1") == "sio:session:p1"
    assert key_of("p1", "app:") == "app:p1"
    assert msgspec.msgpack.decode(base64.b64decode(dumps_session(SESSION))) == SAID
    assert loads_session(base64.b64encode(pack(SAID))) == SESSION
    # Node's `data` is an object unless its program says otherwise.
    assert loads_session(base64.b64encode(pack(SAID | {"data": None}))).data is None


@pytest.mark.parametrize(
    ("kept", "text"),
    [
        (b"", "expected msgpack"),
        (b"#", "msgpack in base64"),
        ("é".encode(), "msgpack in base64"),
        (base64.b64encode(pack([])), "expected a session"),
        (base64.b64encode(pack({"sid": "s", "pid": "p"})), "missing required field `rooms`"),
        (base64.b64encode(pack(SAID | {"rooms": "a"})), "got `str`"),
        (base64.b64encode(b"\x80\x04\x95."), "expected"),  # a pickle is nothing here
    ],
)
def test_what_is_no_session_is_refused(kept: bytes, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        loads_session(kept)


def test_data_that_cannot_be_kept_is_named_with_its_path() -> None:
    with pytest.raises(TypeError, match=r"data\.user: set cannot be sent"):
        dumps_session(SavedSession("s", "p", (), {"user": {1}}))


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("1700000000000-0", True),
        ("0-1", True),
        (f"{2**64 - 1}-{2**64 - 1}", True),
        (f"{2**64}-0", False),
        ("1-", False),
        ("-1", False),
        ("1-1\n", False),
        ("1-1-1", False),
        ("\u0661-\u0661", False),
        ("", False),
        (None, False),
        (5, False),
    ],
)
def test_an_offset_is_one_of_redis(text: object, *, is_one: bool) -> None:
    assert is_offset(text) is is_one


@pytest.mark.parametrize(
    ("offset", "behind"),
    [("5-0", "5-1"), (f"5-{2**53}", f"5-{2**53 + 1}"), (f"5-{2**64 - 1}", "6-0")],
)
def test_what_was_missed_begins_behind_the_offset(offset: str, behind: str) -> None:
    assert next_offset(offset) == behind


@pytest.mark.parametrize(
    ("to", "is_meant"),
    [
        (Recipients(), True),
        (Recipients(("b",)), True),
        (Recipients(("x", "a")), True),
        (Recipients(("x",)), False),
        (Recipients((), ("a",)), False),
        (Recipients(("a",), ("b",)), False),
        (Recipients(("a",), ("x",)), True),
    ],
)
def test_who_is_in_rooms_is_meant_or_not(to: Recipients, *, is_meant: bool) -> None:
    assert to.include({"a", "b"}) is is_meant
