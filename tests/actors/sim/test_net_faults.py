"""Faults are values that say what is wrong with them; the presets are of growing malice."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from actors.sim import CALM, CHAOS, LAN, MOBILE, Faults


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"latency": 0.1}, r"latency: expected \(base, jitter\) in seconds.*saw 0.1"),
        ({"latency": (0.1,)}, "latency"),
        ({"latency": (-0.1, 0.0)}, "latency"),
        ({"latency": (0.0, float("inf"))}, "latency"),
        ({"latency": (float("nan"), 0.0)}, "latency"),
        ({"latency": "ab"}, "latency"),
        ({"chunk": 0}, "chunk: expected a whole number from 1 up, saw 0"),
        ({"chunk": 1.5}, "chunk"),
        ({"chunk": True}, "chunk"),
        ({"window": 0}, "window: expected a whole number from 1 up, saw 0"),
        ({"reset": 1.1}, "reset: expected a probability, from 0 to 1, saw 1.1"),
        ({"reset": -0.1}, "reset"),
        ({"reset": "often"}, "reset"),
        ({"reset": True}, "reset"),
        ({"stall": 0.1}, r"stall: expected \(probability, seconds\)"),
        ({"stall": (2, 1.0)}, "stall"),
        ({"stall": (0.5, 0.0)}, "stall"),
        ({"stall": (0.5, float("inf"))}, "stall"),
        ({"blackhole": float("nan")}, "blackhole"),
    ],
)
def test_a_wrong_value_is_refused_by_name(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Faults(**wrong)


def test_faults_are_values() -> None:
    assert Faults(reset=0.5) == Faults(reset=0.5) != Faults()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        CALM.reset = 0.5  # type: ignore[misc]


def test_a_preset_can_be_changed_and_is_checked_again() -> None:
    assert attrs.evolve(MOBILE, blackhole=0.0).latency == MOBILE.latency
    with pytest.raises(ValueError, match="window"):
        attrs.evolve(MOBILE, window=0)


def test_calm_has_no_faults_and_no_latency() -> None:
    assert Faults() == CALM
    assert (CALM.latency, CALM.chunk, CALM.reset, CALM.blackhole) == ((0.0, 0.0), 1, 0.0, 0.0)


def test_a_cable_breaks_nothing_and_only_phones_vanish_unasked() -> None:
    assert LAN.reset == LAN.stall[0] == LAN.blackhole == 0
    assert MOBILE.reset > 0 < MOBILE.blackhole
    assert CHAOS.reset > MOBILE.reset
    assert CHAOS.blackhole == 0
