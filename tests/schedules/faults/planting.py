"""How a fault is planted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

Fault = Callable[[], AbstractContextManager[None]]


@contextmanager
def replaced(owner: Any, name: str, wrong: Any) -> Iterator[None]:
    """Have `owner`, a class or module, a wrong method for the block."""
    right = vars(owner)[name]
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        setattr(owner, name, right)


@contextmanager
def added(owner: Any, name: str, wrong: Any) -> Iterator[None]:
    """Have `owner` a wrong method for the block, where it inherits the right one."""
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        delattr(owner, name)
