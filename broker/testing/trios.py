"""`trio.testing`, got when it is needed: it imports pytest, where that is installed.

A server that nobody tests would wait for that at its start.
"""

from __future__ import annotations

import importlib
from types import ModuleType


def trio_testing() -> ModuleType:
    """Return the module."""
    return importlib.import_module("trio.testing")
