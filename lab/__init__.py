"""A real Kubernetes control plane and bare SSH hosts, all on this one machine."""

from typing import TYPE_CHECKING

from fabnode.util.submodules import lazily

if TYPE_CHECKING:
    from . import cluster as cluster
    from . import controlplane as controlplane
    from . import hosts as hosts
    from . import kubeasz as kubeasz
    from . import login as login
    from . import parts as parts
    from . import state as state
    from . import support as support
else:  # the tasks are listed with each `inv`: most need none of these
    __getattr__ = lazily(
        __name__,
        "cluster",
        "controlplane",
        "hosts",
        "kubeasz",
        "login",
        "parts",
        "state",
        "support",
    )
