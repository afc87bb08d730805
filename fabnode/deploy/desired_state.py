"""Desired state of a node: what all steps together want of it, each resource with its step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..node.plan import ConflictError
from ..node.resources import Image, Module, Sysctl, Unit, UnpinnedImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..node.resources import Resource
    from ..steps.inputs import Inputs
    from ..steps.step import Step

_DIFFER = "a step of the site's own has to leave to fabnode what fabnode sets"


def desired_state(steps: Sequence[Step], inputs: Inputs) -> dict[Resource, str]:
    """
    Return what these steps want, in their order, each with the first step that wants it.

    :raises ConflictError: two steps want the same thing differently.
    """
    step_of: dict[Resource, str] = {}
    wanted: dict[tuple[str, str], Resource] = {}
    for step in steps:
        for resource in step.resources(inputs):
            other = wanted.setdefault(_place(resource), resource)
            if other != resource and step_of[other] != step.name:
                _, what = _place(resource)
                raise ConflictError(
                    f"steps {step_of[other]} and {step.name} differ on {what}", _DIFFER
                )
            step_of.setdefault(resource, step.name)
    return step_of


def _place(resource: Resource) -> tuple[str, str]:
    """Return what a resource is about: two that differ on it would undo each other."""
    match resource:
        case Sysctl(key=name) | Unit(name=name):
            return type(resource).__name__, name
        case Image() | UnpinnedImage() | Module():
            return type(resource).__name__, str(resource)
        case _:
            return "path", getattr(resource, "path", "")
