"""The kernel as a node needs it: modules and sysctls, now and after every boot."""

from __future__ import annotations

from ..model.conventions import STATE
from ..model.kernel import SYSCTLS, modules
from ..model.resources import Directory, File, Module, Resource, Sysctl
from . import layout
from .inputs import Inputs
from .render import render

NAME = "prepare"
HELP = "Load kernel modules, set sysctls."


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """Return modules and sysctls, persistent and live."""
    needed = modules(inputs.cluster, inputs.node)
    return (
        Directory(STATE, 0o700),
        File(layout.MODULES_CONF, render("prepare/modules.conf", modules=sorted(needed))),
        *(Module(name, why) for name, why in needed.items()),
        File(layout.SYSCTL_CONF, render("prepare/sysctl.conf", sysctls=SYSCTLS)),
        *(Sysctl(key, value) for key, value in SYSCTLS.items()),
    )
