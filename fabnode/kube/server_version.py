"""The apiserver's release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..releases.version import Release

if TYPE_CHECKING:
    from .client import Api


def server_release(api: Api) -> Release:
    """Return the release of the apiserver, without what a distribution adds to it."""
    version = str(api.get("/version")["gitVersion"])
    return Release.parse(version.partition("-")[0].partition("+")[0])
