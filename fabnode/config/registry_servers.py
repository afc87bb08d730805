"""Servers of image registries: their names, and whether one has a password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from .sections import RegistrySettings


def server(url: str) -> str:
    """Return the key in `images.registries` of a mirror's server."""
    return urlsplit(url).netloc.lower()


def has_password(registries: Mapping[str, RegistrySettings], name: str) -> bool:
    """Return whether a password is configured for this server."""
    return name in registries and registries[name].password is not None
