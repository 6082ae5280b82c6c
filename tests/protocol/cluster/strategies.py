"""Messages between nodes, for the property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from protocol.cluster.messages import (
    Broadcast,
    ClientAnswered,
    ClientCount,
    Closed,
    DisconnectThem,
    Done,
    FetchThem,
    Heartbeat,
    LetIn,
    LetOut,
    ListRooms,
    Recipients,
    RoomsListed,
    ServerAnswered,
    ServerEvent,
    SocketFacts,
    SocketsFetched,
)
from protocol.socketio import RESERVED_EVENTS
from protocol.values import MAX_INT

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INT, MAX_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=6,
)
names = st.text(max_size=6).filter(lambda name: name not in RESERVED_EVENTS)
events: st.SearchStrategy[list[Any]] = st.builds(
    lambda name, rest: [name, *rest], names, st.lists(values, max_size=3)
)
rooms = st.lists(st.text(max_size=6) | st.text(min_size=20, max_size=20), max_size=3).map(tuple)
who = st.builds(Recipients, rooms, rooms)
ids = st.text(min_size=1, max_size=6)
timeouts = st.none() | st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000)

sockets = st.builds(
    SocketFacts, ids, st.dictionaries(st.text(max_size=4), values, max_size=3), rooms, values
)
commands = (
    st.builds(Broadcast, who, events, st.booleans(), st.booleans())
    | st.builds(LetIn, who, rooms)
    | st.builds(LetOut, who, rooms)
    | st.builds(DisconnectThem, who, st.booleans())
    | st.builds(ServerEvent, events)
)
questions = (
    st.builds(Broadcast, who, events, st.booleans(), st.booleans(), ids, timeouts)
    | st.builds(FetchThem, who, ids)
    | st.builds(ServerEvent, events, ids)
)
answers = (
    st.builds(SocketsFetched, ids, st.lists(sockets, max_size=3).map(tuple))
    | st.builds(ClientCount, ids, st.integers(0, 10**6), st.lists(ids, max_size=3).map(tuple))
    | st.builds(ClientAnswered, ids, st.lists(values, max_size=1), st.none() | ids)
    | st.builds(ServerAnswered, ids, values)
)
classic_questions = (
    questions
    | st.builds(ListRooms, ids)
    | st.builds(FetchThem, st.builds(Recipients, rooms), ids, st.just(True))
)
only_ids = ids.map(lambda id_: SocketFacts(id_, {}, (), None))
classic_answers = (
    answers
    | st.builds(RoomsListed, ids, rooms)
    | st.builds(Done, ids)
    | st.builds(
        SocketsFetched,
        ids,
        st.lists(only_ids, min_size=1, max_size=3).map(tuple),
        st.just(True),
    )
)
cluster_commands = commands | st.builds(Heartbeat, st.booleans()) | st.just(Closed())
namespaces = st.sampled_from(["/", "/chat", "/a#b", "/ünder"]) | st.text(max_size=6).map(
    lambda text: "/" + text
)
