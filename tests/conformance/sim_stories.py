"""Runs to draw: small ones with something of everything, and large ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import attrs

from actors.sim.story import Blocked, Deviation, Story, TraceEvent, Unreceived

# Texts that mean something to HTML, scripts, JSON, Mermaid, or whoever draws them.
NASTY = [
    "",
    " ",
    "end",
    "style: x #1; y",
    "classDef a:#b; c",
    "wrap: me",
    ":nowrap: me",
    "%% a comment",
    "%%{init: {'theme': 'dark'}}%%",
    "100%%%% sure",
    "$$x^2$$",
    "---\ntitle: x\n---",
    "participant p1 as x; p1->>p2: y",
    "a -->> b -x c",
    "#35; #lt; &lt; &amp; &#60;",
    "ﬂ°°35¶ß ﬂ°lt¶ß",
    "<br/> <b>bold</b> <img src=x onerror=hit=1>",
    "</script><script>hit=2</script><!-- <script>",
    "'single' \"double\" `back` \\n \\ \\\\",
    "two\nlines\r\nand\ttabs\x0b\x0c\x85\u2028\u2029end",
    "nul \x00 escape \x1b[31m bell \x07 \x7f",
    "lone \ud800 surrogate \udfff",
    "日本語 עברית العربية 👩\u200d👩\u200d👧 e\u0301",
    "\u202eright to left override",
    "a, b: c; d + e() - f / g \\ h | i @ j {k} [l] = m ~ n ^ o * p ? q !",
    "x" * 300,
    "many words " * 40,
    "${title} $script %(x)s {0}",
    "__proto__",
    "loop alt opt par rect and else note over left of activate",
]


def story(events: Sequence[TraceEvent] = (), **rest: Any) -> Story:
    """Make a run that passed, with `rest` otherwise."""
    lanes = dict.fromkeys(lane for event in events for lane in (event.sender, event.lane) if lane)
    plain = Story(
        title="test_rooms.py::test_join_leave",
        outcome="passed",
        where="",
        failed_at=0,
        found="",
        lanes=tuple(lanes),
        events=tuple(events),
        unreceived=(),
        blocked=(),
        deviations=(),
        faults=(),
        steps=max((event.step for event in events), default=0),
        seconds=max((event.time for event in events), default=0.0),
        replay="",
    )
    return attrs.evolve(plain, **rest)


def message(
    step: int, sender: str, lane: str, text: str, kind: Any = "message", **rest: Any
) -> TraceEvent:
    """Make a message, delivered at once unless `rest` says otherwise."""
    rest = {"channel": f"{lane}'s mailbox", "sent_at": step, "time": 0.0, **rest}
    return TraceEvent(step=step, kind=kind, lane=lane, text=text, sender=sender, **rest)


def event(step: int, kind: Any, lane: str, text: str = "", **rest: Any) -> TraceEvent:
    """Make any other event."""
    return TraceEvent(step=step, kind=kind, lane=lane, text=text, **({"time": 0.0} | rest))


def everything() -> Story:
    """Return a deadlock with something of every kind, and noise beside it."""
    events = [
        event(1, "started", "main", "started"),
        event(2, "started", "registry"),
        event(3, "started", "client#2"),
        event(4, "started", "client#3"),
        event(5, "started", "ticker", sliced=False),
        message(9, "ticker", "main", "('tick', 1)", sliced=False),
        message(14, "client#2", "registry", "('join', 2, <send>)", sent_at=12),
        event(16, "started", "room"),
        message(18, "registry", "room", "('join', 2, <send>)", sent_at=16),
        message(21, "room", "client#2", "('joined', 'lobby')"),
        event(25, "net", "conn0", "latency 40 ms", time=0.04),
        message(27, "client#2", "conn0", "b'42[\"join\"]'", kind="bytes", time=0.04),
        event(40, "note", "client#2", "leaves, because it has seen enough", time=0.04),
        message(52, "ticker", "main", "('tick', 2)", sent_at=49, time=0.5, sliced=False),
        message(80, "client#3", "registry", "('hello', 3)", sent_at=71, time=0.5),
        message(122, "registry", "room", "('leave', 2, <send>)", sent_at=108, time=0.5),
        message(124, "room", "registry", "('closing', 'lobby', None)", time=0.5),
        event(125, "ended", "room", "ended", time=0.5),
        event(130, "net", "conn0", "connection reset after 0/71 bytes of a send", time=0.5),
    ]
    return story(
        events,
        outcome="Deadlock: all tasks are blocked and no timer is pending",
        where="chat.py:55 in ghost_join: await trio.sleep_forever()",
        failed_at=135,
        steps=135,
        found="found by schedule 47 (seed 46); shrunk: 80 decisions -> 4 (412 replays)",
        unreceived=(
            Unreceived("room's mailbox", "('join', 3, <send>)", "registry", 109, waiting=False),
            Unreceived("audit", "('seen', 3)", "client#3", 90, waiting=True),
        ),
        blocked=(
            Blocked("main", "chat.py:55 in ghost_join"),
            Blocked("registry", "chat.py:33 in registry"),
            Blocked("client#3", "chat.py:48 in want"),
        ),
        deviations=(
            Deviation(12, "client#2 runs, though client#3 could go on", "client#2"),
            Deviation(13, "which room is 1", "client#2"),
            Deviation(60, "a timer fires 59.5 s early, while tasks can run"),
            Deviation(107, "registry runs, though room could go on", "registry"),
        ),
        faults=("conn0: connection reset after 0/71 bytes of a send",),
        replay="pytest 'test_rooms.py::test_join_leave' --sim-replay=s1.eNqbx9jI2MLIdBcACv4Chg",
    )


def nasty(text: str, other: str = "x") -> Story:
    """Return a failure in which `text` is wherever a text can be."""
    two = f"{other}'"  # another lane, whatever they are called
    return Story(
        title=text,
        outcome=text or "?",
        where=text,
        failed_at=9,
        found=text,
        lanes=(text, two),
        events=(
            message(1, text, two, text, channel=text),
            message(4, two, text, text, channel=text, sent_at=2),
            message(5, text, text, other, channel=other, sent_at=3),
            *(
                event(6, kind, text, text, channel=text)
                for kind in ("started", "ended", "note", "net")
            ),
        ),
        unreceived=(
            Unreceived(text, text, text, 3, waiting=False),
            Unreceived(two, text, two, 3, waiting=True),
        ),
        blocked=(Blocked(text, text), Blocked(two, text)),
        deviations=(Deviation(5, text, text), Deviation(6, text)),
        faults=(text,),
        steps=9,
        seconds=0.25,
        replay=text,
    )


def large(events: int, lanes: int, seed: int = 0) -> Story:
    """Return a failure of a chat with `lanes` clients, most of which have no part in it."""
    chance = random.Random(seed)
    clients = [f"client#{number}" for number in range(1, lanes - 1)]
    names = ["registry", "lobby", *clients][:lanes]
    guilty = set(names[:5])
    made: list[TraceEvent] = [event(n, "started", name) for n, name in enumerate(names, 1)]
    step, time = len(made), 0.0
    lost: list[Unreceived] = []
    while len(made) < events:
        step += chance.choice((1, 1, 1, 2, 5))
        if chance.random() < 0.02:
            time += chance.choice((0.05, 0.25, 1.0))
        one, two = chance.choice(names), chance.choice(names)
        rest = {"time": time, "sliced": {one, two} <= guilty}
        match chance.choices(("message", "note", "net"), (92, 5, 3))[0]:
            case "message":
                sent = step - chance.choice((0, 0, 0, 1, 3, 9, 40))
                text = f"('say', {step}, {'la ' * chance.choice((1, 2, 2, 9, 90))!r})"
                made.append(message(step, one, two, text, sent_at=max(1, sent), **rest))
                if chance.random() < 0.002:
                    lost.append(Unreceived(f"{two}'s mailbox", text, one, step, waiting=False))
            case "note":
                made.append(event(step, "note", one, f"round {step} begins", **rest))
            case kind:
                made.append(event(step, kind, one, "a send was torn after 12 bytes", **rest))
    return story(
        made,
        title="test_rooms.py::test_a_busy_evening",
        outcome="InvariantViolated: agreement: seq 7 is two messages",
        where="test_rooms.py:88 in check: assert seen[seq] == text",
        failed_at=step + 1,
        found="found by schedule 1203 (seed 1202); shrunk: 2210 decisions -> 31 (2000 replays)",
        lanes=tuple(names),
        unreceived=tuple(lost),
        blocked=tuple(Blocked(name, "rooms.py:48 in receive") for name in names[1:4]),
        deviations=tuple(
            Deviation(at, "lobby runs, though registry could go on", "lobby")
            if at % 4
            else Deviation(at, "a timer fires 5 s early, while tasks can run")
            for at in sorted(chance.sample(range(1, step), 31))
        ),
        replay="pytest 'test_rooms.py::test_a_busy_evening' --sim-replay=s1." + "eNqbx9" * 20,
    )
