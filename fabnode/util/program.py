"""Commands named in advice, in the form that works however fabnode was started."""

from __future__ import annotations

import sys
from pathlib import Path

from .data import IN_WHEEL


def task(arguments: str) -> str:
    """
    Return the command line of a task: `deploy-nodes --limit n1` → `inv deploy-nodes --limit n1`.

    An installed fabnode has its own program; from a clone, `inv` finds the tasks in `tasks.py`.
    """
    return f"{'fabnode' if IN_WHEEL or _started_as() == 'fabnode' else 'inv'} {arguments}"


def host_task(node: str, arguments: str) -> str:
    """
    Return the command line of a task for one host: (`n1`, `logs`) → `fab -H n1 logs`.

    `fab` finds these tasks in a clone; elsewhere it needs a fabfile, which its user has.
    """
    command = f"fab -H {node} {arguments}"
    if not IN_WHEEL or _started_as() == "fab":
        return command
    return f"{command} (fabfile.py needs the line: from fabnode.host_tasks import ns)"


def _started_as() -> str:
    return Path(sys.argv[0]).name
