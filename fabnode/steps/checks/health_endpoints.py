"""Health endpoints of a node's daemons: their addresses and ports, as configured."""

from __future__ import annotations

from dataclasses import dataclass

from ...config.configuration import Node
from ...config.validators import is_address
from ...node.conventions import KUBELET_HEALTH_PORT, PROXY_HEALTH_PORT, PROXY_METRICS_PORT

KUBELET_HEALTH, PROXY_HEALTH, PROXY_MODE = "kubelet health", "kube-proxy health", "kube-proxy mode"
_LOOPBACK = "127.0.0.1"
_EVERYWHERE = {"", "0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where on the node a daemon answers."""

    address: str
    port: int


def endpoints(node: Node) -> dict[str, Endpoint]:
    """Return check → where it is answered, as configured; one that is turned off is not there."""
    kubelet, proxy = node.kubelet.config, node.kube_proxy.config
    health = Endpoint(
        _reached(str(kubelet.get("healthzBindAddress", ""))),
        _port(kubelet.get("healthzPort", KUBELET_HEALTH_PORT)),
    )
    found = {KUBELET_HEALTH: health}
    if node.kube_proxy.enabled:
        found |= {
            PROXY_HEALTH: _endpoint(proxy.get("healthzBindAddress"), PROXY_HEALTH_PORT),
            PROXY_MODE: _endpoint(proxy.get("metricsBindAddress"), PROXY_METRICS_PORT),
        }
    return {title: endpoint for title, endpoint in found.items() if endpoint.port}


def _endpoint(given: object, default: int) -> Endpoint:
    """Return where `address:port` is reached; the port may be left out, as with kube-proxy."""
    if given is None:
        return Endpoint(_LOOPBACK, default)
    address, colon, port = str(given).rpartition(":")
    if not colon or str(given).endswith("]") or is_address(str(given)):
        return Endpoint(_reached(str(given)), default if given else 0)
    return Endpoint(_reached(address), _port(port))


def _port(given: object) -> int:
    text = str(given)
    return int(text) if text.isascii() and text.isdigit() else 0


def _reached(bound: str) -> str:
    """Return an address at which the node reaches what is bound to this one."""
    address = bound.strip("[]")
    return _LOOPBACK if address in _EVERYWHERE else address
