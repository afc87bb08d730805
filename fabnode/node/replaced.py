"""What a plan takes the place of: what has to be kept for a host to go back to it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .resources import Absent, Binary, File, RemovedUnit, Retired, Unit

if TYPE_CHECKING:
    from .plan import Plan


def replaced(plan: Plan) -> tuple[list[str], list[str]]:
    """
    Return units and files of a host that a set holds before a plan is carried out.

    Of units, those that are removed come first: others may not work without. A secret that is
    replaced is left out, for what is new does for the old programs as well and no copy is made;
    one that is removed they would lack, and one that is new is removed on the way back.
    A certificate that is removed for its unit to make another is replaced.
    """
    gone: list[str] = []
    started: list[str] = []
    files: list[str] = []
    for change in plan.changes:
        match change.resource:
            case RemovedUnit(name=name, path=path):
                gone.append(name)
                files.append(path)
            case Unit(name=name):
                started.append(name)
            case File(path=path, secret=secret) if not secret or change.action == "create":
                files.append(path)
            case Binary(path=path) | Retired(path=path) | Absent(path=path, remade_by=""):
                files.append(path)
            case _:
                pass
    return [*gone, *started], files
