"""Image references: another registry in place of the named one, the server of a mirror's URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from .sections import RegistrySettings


def with_registry(image: str, registry: str) -> str:
    """Return an image reference with its registry replaced (`docker.io/calico/node:v3` → …)."""
    first, _, rest = image.partition("/")
    has_registry = rest and ("." in first or ":" in first or first == "localhost")
    return f"{registry.rstrip('/')}/{rest if has_registry else image}"


def server(url: str) -> str:
    """Return the key in `images.registries` of a mirror's server."""
    return urlsplit(url).netloc.lower()


def has_password(registries: Mapping[str, RegistrySettings], name: str) -> bool:
    """Return whether a password is configured for this server."""
    return name in registries and registries[name].password is not None
