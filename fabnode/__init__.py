"""
Turns hosts reachable over SSH into Kubernetes worker nodes.

Public are the names in `__all__`, explained in docs/library.md, and the collections of tasks
`fabnode.tasks.ns` and `fabnode.host_tasks.ns`; all else may change with any release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .library.public import HOMES, public
from .util.about import VERSION

__version__ = VERSION
__all__ = ["__version__", *HOMES]

if TYPE_CHECKING:
    from .library.public import *  # noqa: F403 (every name of HOMES)
else:  # type checkers would take any name at all for one of these

    def __getattr__(name: str) -> object:
        return public(name)


def __dir__() -> list[str]:
    return __all__
