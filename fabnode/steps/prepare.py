"""Step prepare: kernel modules and sysctls, now and after every boot."""

from __future__ import annotations

from ..node import layout
from ..node.resources import Directory, File, Module, Resource, Sysctl
from .inputs import Inputs
from .kernel import modules, sysctls
from .render import render
from .step import Step


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """Return modules and sysctls, persistent and live."""
    needed = modules(inputs.config, inputs.node)
    settings = sysctls(inputs.config, inputs.node)
    return (
        Directory(inputs.config.paths.state, 0o700),
        File(layout.MODULES_CONF, render("prepare/modules.conf", modules=sorted(needed))),
        *(Module(name, why) for name, why in needed.items()),
        File(layout.SYSCTL_CONF, render("prepare/sysctl.conf", sysctls=settings)),
        *(Sysctl(key, value) for key, value in settings.items()),
    )


STEP = Step("prepare", "Load kernel modules, set sysctls.", desired=desired)
