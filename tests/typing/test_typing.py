"""What type checkers know of the packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.mark.parametrize("package", ["actors", "broker", "protocol"])
def test_a_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_a_program_that_uses_the_public_face_is_known_by_its_types() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "mypy", HERE / "uses_broker.py"],
        cwd=ROOT,  # the project's own options, which are strict
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
