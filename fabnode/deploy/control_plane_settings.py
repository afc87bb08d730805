"""Networks that a control plane is configured with: by kubeadm, and by flags of its Pods. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from ..config.starter import Known
from ..util.yaml_io import parse
from .api_answers import Denied, field_at, full_name, list_of, one_of_each, texts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..kube.client import Object


@dataclass(frozen=True, slots=True)
class ControlPlaneSettings:
    """
    What a control plane is configured with.

    :param networking: that section of kubeadm's configuration; empty: kubeadm made no such cluster.
    :param flags: of the control plane's Pods: by name, value and Pod; empty: it runs as no Pods.
    :param denied: what of this the account may not read.
    """

    networking: Mapping[str, Any]
    flags: Mapping[str, tuple[str, str]]
    denied: tuple[Denied, ...]

    def network(self, key: str, flag: str) -> Known | None:
        """Return the network, or one of each family, of a key of kubeadm's, or of a flag."""
        return self._of_kubeadm(key) or self._of_flag(flag)

    def _of_kubeadm(self, key: str) -> Known | None:
        value = self.networking.get(key)
        if not isinstance(value, str):
            return None
        return _networks(value, "Of kubeadm's configuration.")

    def _of_flag(self, name: str) -> Known | None:
        value, pod = self.flags.get(name, ("", ""))
        return _networks(value, f"Of --{name} of the Pod {pod}.")


def control_plane_settings(
    config_map: Object | Denied | None, pods: Sequence[Object] | Denied
) -> ControlPlaneSettings:
    """
    Return what a control plane is configured with.

    :param config_map: kubeadm's; None: there is none. :param pods: of the control plane.
    """
    return ControlPlaneSettings(
        {} if isinstance(config_map, Denied) else _networking(config_map),
        {} if isinstance(pods, Denied) else _flags(pods),
        tuple(each for each in (config_map, pods) if isinstance(each, Denied)),
    )


def _networking(config_map: Object | None) -> Mapping[str, Any]:
    text = field_at(config_map, "data", "ClusterConfiguration")
    try:
        networking = field_at(parse(text), "networking") if isinstance(text, str) else None
    except yaml.YAMLError:
        return {}
    return networking if isinstance(networking, dict) else {}


def _flags(pods: Iterable[Object]) -> dict[str, tuple[str, str]]:
    return {
        name.removeprefix("--"): (value, "/".join(full_name(pod)))
        for pod in pods
        for each in list_of(field_at(pod, "spec", "containers"))
        for word in (*texts_of(field_at(each, "command")), *texts_of(field_at(each, "args")))
        for name, _, value in (word.partition("="),)
        if name.startswith("--")
    }


def _networks(value: str, source: str) -> Known | None:
    found = one_of_each(each.strip() for each in value.split(","))
    return Known(",".join(found), source) if found else None
