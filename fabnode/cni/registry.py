"""The pod networks that fabnode knows, and the one that a configuration asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .calico import Calico
from .none import NoNetwork

if TYPE_CHECKING:
    from ..config.configuration import Config
    from .protocol import Cni

NETWORKS = (Calico,)  # one line for each


def network(config: Config) -> Cni:
    """Return the network to install; one that installs nothing where the cluster brings its own."""
    return next((known(config) for known in NETWORKS if known.wanted(config)), NoNetwork(config))
