"""Findings about files that containerd imports and that override settings a node needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from ..config.sections import USUAL_PATHS
from ..node import advice, config_files, containerd_config, layout
from ..node.containerd_config import RUNTIME, Key
from ..node.facts import Facts
from ..node.resources import Resource, content_of
from ..util.problems import InvalidValueError
from .finding import Finding

_CRI = "io.containerd.grpc.v1.cri"
# What a node needs and containerd has by default, so that fabnode does not write it.
_DEFAULTS: dict[Key, object] = {
    ("grpc", "address"): layout.CONTAINERD_SOCKET,
    ("plugins", "io.containerd.server.v1.grpc", "address"): layout.CONTAINERD_SOCKET,
    **{
        ("plugins", plugin, "cni", key): value
        for plugin in (_CRI, RUNTIME)
        for key, value in {
            "bin_dir": USUAL_PATHS.cni_bin,
            "bin_dirs": [USUAL_PATHS.cni_bin],
            "conf_dir": USUAL_PATHS.cni_conf,
        }.items()
    },
}
_FORM = ("version", "imports")
_FIX = "take that out of {path}, and run systemctl restart containerd"


def findings(facts: Facts, resources: Iterable[Resource]) -> Iterator[Finding]:
    """Yield which imported files override the configuration of these resources, or break it."""
    ours = content_of(layout.CONTAINERD_CONFIG, resources)
    if ours is None:
        return
    base = containerd_config.parse(ours.decode())
    merged = base
    needed = {key: value for key, value in containerd_config.leaves(base) if key[0] not in _FORM}
    for path in imported(facts):
        try:
            document = containerd_config.parse("\n".join(facts.config_files[path]))
            after = containerd_config.merge(merged, document)
        except InvalidValueError as error:
            yield Finding(
                "error",
                f"containerd does not start with {path}, which is {error}",
                f"correct it, or {advice.removed(path, facts.paths)}",
            )
            continue
        wanted = {**_DEFAULTS, **needed}
        changed = [
            f"{key[-1]} ({_shown(value)} → {_shown(containerd_config.find(after, key))})"
            for key, value in wanted.items()
            if not _holds(containerd_config.find(after, key), value, key in needed)
            and _holds(containerd_config.find(merged, key), value, key in needed)
        ]
        off = [name for name in after.get("disabled_plugins", []) if "cri" in str(name).split(".")]
        merged = after
        if off:
            changed.append(f"disabled_plugins ({', '.join(map(str, off))})")
        if changed:
            yield Finding(
                "error",
                f"{path} overrides what fabnode sets for containerd: {', '.join(changed)}",
                _FIX.format(path=path),
            )


def imported(facts: Facts) -> tuple[str, ...]:
    """Return the files that containerd imports, in its order."""
    folder = f"{config_files.CONTAINERD_IMPORTS}/"
    return tuple(sorted(path for path in facts.config_files if path.startswith(folder)))


def _holds(found: object, wanted: object, written: bool) -> bool:
    """Return whether a setting still is as wanted; a list may have more behind its own entries."""
    if found is None:
        return not written
    if isinstance(found, list) and isinstance(wanted, list):
        return found[: len(wanted)] == wanted
    return wanted == found


def _shown(value: object) -> str:
    return "unset" if value is None else json.dumps(value, default=str)
