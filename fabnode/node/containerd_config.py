"""containerd's configuration with the files it imports, merged as containerd merges them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..util.problems import InvalidValueError

Document = dict[str, Any]
Key = tuple[str, ...]

_CRI = "io.containerd.grpc.v1.cri"  # until 1.x; since then two plugins have its settings
IMAGES, RUNTIME = "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"
_OF_IMAGES = (
    "registry",
    "image_decryption",
    "max_concurrent_downloads",
    "image_pull_progress_timeout",
)
_SPLIT_SINCE = 3  # version of the configuration


def parse(text: str) -> Document:
    """Return a configuration. Raises InvalidValueError."""
    import tomllib  # for the hosts on which containerd imports files

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidValueError(f"no TOML: {error}") from None


def merge(base: Document, imported: Document) -> Document:
    """
    Return a configuration with one that it imports.

    Until 1.x a plugin's section takes the place of the earlier one as a whole (containerd #5837);
    since 2.0 they are merged key by key, once the older form has been turned into the newer.

    :raises InvalidValueError: it is of a version that is not known yet.
    """
    version = base.get("version", 1)
    if (theirs := imported.get("version", 1)) > version:
        raise InvalidValueError(f"of version {theirs}, while {version} is the newest it reads")
    if version < _SPLIT_SINCE:
        plugins = {**base.get("plugins", {}), **_plugins(imported, version)}
        return {**_deep(base, imported), "version": version, "plugins": plugins}
    return {**_deep(base, {**imported, "plugins": _plugins(imported, version)}), "version": version}


def leaves(value: object, at: Key = ()) -> Iterator[tuple[Key, object]]:
    """Yield each setting that is no section, with the way to it."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, (*at, key))
    else:
        yield at, value


def find(document: object, key: Key) -> object:
    """Return what is set there; None where nothing is."""
    for part in key:
        document = document.get(part) if isinstance(document, Mapping) else None
    return document


def _plugins(imported: Document, version: int) -> Document:
    """Return an imported file's plugins by the names that this version of the form has."""
    plugins = dict(imported.get("plugins") or {})
    if "cri" in plugins:
        plugins.setdefault(_CRI, plugins.pop("cri"))
    if version < _SPLIT_SINCE or _CRI not in plugins:
        return plugins
    cri = dict(plugins.pop(_CRI))
    images = {key: cri.pop(key) for key in _OF_IMAGES if key in cri}
    if "sandbox_image" in cri:
        images["pinned_images"] = {"sandbox": cri.pop("sandbox_image")}
    return _deep(plugins, {IMAGES: images, RUNTIME: cri})


def _deep(base: Document, layer: Mapping[str, Any]) -> Document:
    """Merge mappings key by key; a list's new entries are added, all else is replaced."""
    merged = dict(base)
    for key, value in layer.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _deep(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            merged[key] = [*old, *(each for each in value if each not in old)]
        else:
            merged[key] = value
    return merged
