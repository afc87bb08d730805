"""Paths of the site's own by which a kubelet goes: whoever may write there is root on the host."""

from __future__ import annotations

from posixpath import dirname, join

from ..config.configuration import Node
from ..node import layout
from ..node.facts import Named

# True: the kubelet runs what is there as root; False: it decides what the kubelet runs. The
# configuration refuses a --config-dir.
_FIELDS = {"staticPodPath": False, "volumePluginDir": True}
_FLAGS = {
    "pod-manifest-path": False,
    "volume-plugin-dir": True,
    "image-credential-provider-bin-dir": True,
    "image-credential-provider-config": False,
}
_PLUGINS = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec"  # where nothing names others


def configured(node: Node) -> tuple[Named, ...]:
    """Return the paths that the node's own settings name, and the kubelet's default of plugins."""
    beside = dirname(layout.KUBELET_CONFIG)  # what paths in that file are relative to
    found = [
        Named(join(beside, path), f"kubelet.config.{field}", runs)
        for field, runs in _FIELDS.items()
        if (path := _path(node.kubelet.config.get(field)))
    ]
    found += [
        Named(join("/", path), f"kubelet.extra_args.{flag}", runs)
        for flag, runs in _FLAGS.items()
        if (path := _path(node.kubelet.extra_args.get(flag)))
    ]
    if not any(each.by.lower().replace("-", "").endswith("volumeplugindir") for each in found):
        found.append(Named(_PLUGINS, "the kubelet's default volumePluginDir", runs=True))
    return tuple(found)


def _path(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() else ""
