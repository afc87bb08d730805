"""Submodules of a package that are imported when they are first used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType


def lazily(package: str, *names: str) -> Callable[[str], ModuleType]:
    """
    Return a package's `__getattr__` (PEP 562) that imports these of its modules.

    So what lists tasks, or carries out one of them, does not wait for what only others need.
    """

    def get(name: str) -> ModuleType:
        if name in names:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get
