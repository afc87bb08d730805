"""Commands named in advice, in the form that works however fabnode was started."""

from __future__ import annotations

from .data import IN_WHEEL

# An installed fabnode has a program of its own; in a clone, `inv` finds the tasks in `tasks.py`.
_name = "fabnode" if IN_WHEEL else "inv"


def started_as(name: str) -> None:
    """Name this program in advice; called before modules with advice are imported."""
    global _name
    _name = name


def task(arguments: str) -> str:
    """Return the command line of a task: `plan --limit n1` → `inv plan --limit n1`."""
    return f"{_name} {arguments}"


def host_task(node: str, arguments: str) -> str:
    """
    Return the command line of a task for one host: (`n1`, `logs`) → `fab -H n1 logs`.

    In a clone `fab` finds these tasks; elsewhere it needs a fabfile with them.
    """
    command = f"fab -H {node} {arguments}"
    if not IN_WHEEL:
        return command
    return f"{command} (fabfile.py needs the line: from fabnode.host_tasks import ns)"


def of_locked_out(node: str) -> str:
    """Return what to do about a node whose removal has begun; its keys may be in other hands."""
    return (
        f"{task(f'remove-node --limit {node}')} goes on with that;"
        f" {task(f'uncordon --limit {node}')} has it back, if nobody else got its keys"
    )
