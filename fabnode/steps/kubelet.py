"""The kubelet: binary, configuration, unit, and its join by TLS bootstrapping."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator

from ..config.configuration import Taint
from ..node import layout, other_credentials
from ..node.conventions import KUBELET_SERVICE
from ..node.resources import Absent, Binary, ClientCertificate, Directory, File, Resource, Unit
from ..pki.certificates import problem
from ..pki.csr_policy import Candidate, missing_names, serving_names
from ..pki.kubeconfig import kubeconfig
from ..pki.renewal import SERVING
from ..releases import compatibility
from ..releases.component_options import ComponentOptions, Spelled, component_options
from ..releases.matrix import matrix
from .inputs import Inputs
from .render import render, with_extra, with_extra_flags
from .step import Step

UNIT = KUBELET_SERVICE

# What a shared token leaves unproved, and what makes up for it.
_UNPROVED = (
    "it has no client certificate of this cluster; the token file's token doesn't show which host "
    "asks, so before approval the key that waits on this one is compared; rotation follows"
)


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """Return all that the kubelet reads, its unit, and its client certificate."""
    kubelet = inputs.node.kubelet
    binary = f"{inputs.config.paths.programs}/kubelet"
    artifact = inputs.artifacts.binaries["kubelet"]
    certificate = layout.kubelet_client_certificate(kubelet.root)
    options = _options(inputs)
    pending_key = layout.kubelet_pending_key(kubelet.root)
    shared = inputs.config.bootstrap.mode == "token-file"
    unit = render(
        "kubelet/kubelet.service",
        kubelet=kubelet,
        bin=inputs.config.paths.programs,
        flags=with_extra_flags(options.flags, kubelet.extra_args),
        after=(
            layout.runtime_units(
                inputs.node.runtime.name,
                cri_dockerd=compatibility.needs_cri_dockerd(inputs.version.minor),
            )[-1],
            *inputs.balancer_units,
            layout.NETWORK_ONLINE,
        ),
    )
    access = tuple(_kubeconfig(inputs))
    config: Resource = Absent(layout.KUBELET_CONFIG)
    if options.fields is not None:
        content = with_extra(_HEADER | options.fields, kubelet.config)
        config = File(layout.KUBELET_CONFIG, content, 0o600)
    return (
        Directory("/etc/kubernetes"),
        Directory("/etc/kubernetes/pki"),
        Directory(kubelet.root, 0o750),
        File(layout.CA, inputs.config.ca_pem),
        Binary(binary, artifact.path, artifact.sha256),
        config,
        File(layout.KUBELET_UNIT, unit, 0o600),
        *(Absent(path, remade_by=UNIT) for path in _replaced(inputs)),
        *(() if inputs.joined else (Absent(pending_key),)),
        *other_credentials.superseded(inputs.facts, kubelet.root, inputs.config.paths.state),
        *access,
        Unit(
            UNIT,
            reads=(
                binary,
                layout.CA,
                *([layout.KUBELET_CONFIG] if options.fields is not None else []),
                layout.KUBELET_UNIT,
                layout.BOOTSTRAP_KUBECONFIG,
                *(file.path for file in access),
            ),
            restart=inputs.unregistered or requests_serving(inputs),
        ),
        ClientCertificate(
            path=certificate,
            unit=UNIT,
            bootstrap=layout.BOOTSTRAP_KUBECONFIG,
            key="" if rotates(inputs) else pending_key,
            missing=_UNPROVED if shared and not inputs.joined else inputs.unjoined or "",
            timeout=inputs.config.timeouts.join,
        ),
    )


def rotates(inputs: Inputs) -> bool:
    """
    Say whether the kubelet renews its client certificate by itself now.

    One that doesn't keeps the key of its first request on disk, where it can be compared; so with a
    shared token rotation begins once it has joined.
    """
    return inputs.joined or inputs.config.bootstrap.mode == "token"


def names_server(inputs: Inputs) -> bool:
    """
    Say whether the kubelet's kubeconfig has to be written once more after it has joined.

    The kubelet writes it without the `tls-server-name` of the bootstrap kubeconfig (kubernetes
    pkg/kubelet/certificate/bootstrap `writeKubeconfigFromBootstrapping`, to 1.37), goes by that
    name until it ends, and would verify its balancer's address once it starts again.
    """
    return bool(inputs.config.cluster.server_name)


def completed_later(inputs: Inputs) -> bool:
    """Say whether a node that joins gets the rest in a second change, once it has."""
    return not rotates(inputs) or names_server(inputs)


# CIS Kubernetes Benchmark, 4.2: what clusters can do with, and no default of Kubernetes' (yet).
_HARDENED = {
    "podPidsLimit": 4096,
    "seccompDefault": True,
    "tlsCipherSuites": [
        f"TLS_ECDHE_{key}_WITH_AES_{size}"
        for key in ("ECDSA", "RSA")
        for size in ("128_GCM_SHA256", "256_GCM_SHA384")
    ],
}
_HEADER = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}


def _options(inputs: Inputs) -> ComponentOptions:
    """Return the kubelet's settings, as fields and flags of its release."""
    node, cluster, facts = inputs.node, inputs.config.cluster, inputs.facts
    dockershim = inputs.shim == compatibility.DOCKERSHIM
    flags = {
        "--config": layout.KUBELET_CONFIG,
        "--bootstrap-kubeconfig": layout.BOOTSTRAP_KUBECONFIG,
        "--kubeconfig": layout.KUBELET_KUBECONFIG,
        "--cert-dir": f"{node.kubelet.root}/pki",
        "--root-dir": node.kubelet.root,
        "--hostname-override": node.name,
        "--node-ip": ",".join(node.ips),
        "--cloud-provider": node.kubelet.cloud_provider,
        "--allow-privileged": True,  # pods of networks and the like need it
        "--cadvisor-port": 0,
        "--container-runtime": None if dockershim else "remote",
        "--network-plugin": "cni" if dockershim else None,
        "--cni-conf-dir": inputs.config.paths.cni_conf if dockershim else None,
        "--cni-bin-dir": inputs.config.paths.cni_bin if dockershim else None,
        "--pod-infra-container-image": node.runtime.sandbox_image if dockershim else None,
        "--v": 2,
    }
    settings = {
        "address": node.ip,
        "authentication.anonymous.enabled": False,
        "authentication.webhook.enabled": True,
        "authentication.x509.clientCAFile": layout.CA,
        "authorization.mode": "Webhook",
        "readOnlyPort": 0,
        "rotateCertificates": rotates(inputs),
        "serverTLSBootstrap": True,
        "cgroupDriver": inputs.cgroup_driver,
        "containerRuntimeEndpoint": _endpoint(inputs),
        "clusterDNS": list(cluster.dns_addresses),
        "clusterDomain": cluster.dns_domain,
        "hairpinMode": "hairpin-veth" if dockershim else None,
        "maxPods": node.kubelet.max_pods,
        "registerWithTaints": _startup_taints(node.startup_taints),
        "failSwapOn": node.kubelet.fail_swap_on,
        **(_HARDENED if node.kubelet.hardened else {}),
        "failCgroupV1": False if facts.cgroup == 1 else None,
        # Behind systemd-resolved, /etc/resolv.conf names a stub on 127.0.0.53 that pods can't
        # reach.
        "resolvConf": "/run/systemd/resolve/resolv.conf" if facts.systemd_resolved else None,
        "featureGates": _gates(inputs) or None,
    }
    return component_options(matrix().kubelet, inputs.version.minor, flags=flags, settings=settings)


def _startup_taints(taints: Collection[Taint]) -> Spelled | None:
    """
    Return the taints of a Node that the kubelet creates; it never adds them to one that is there.

    Old kubelets take no flag `key:Effect` without a value, and all take an empty one.
    """
    if not taints:
        return None
    return Spelled(
        [{"key": t.key, "effect": t.effect, "value": t.value} for t in taints],
        ",".join(f"{t.key}={t.value}:{t.effect}" for t in taints),
    )


def _gates(inputs: Inputs) -> dict[str, bool]:
    minor, runtime = inputs.version.minor, inputs.node.runtime.name
    return {
        name: gate.value
        for name, gate in matrix().kubelet.gates.items()
        if minor in gate and gate.runtime in (None, runtime)
    }


def _endpoint(inputs: Inputs) -> str | None:
    """Return where the runtime speaks CRI; None where the kubelet speaks docker itself."""
    match inputs.shim:
        case compatibility.DOCKERSHIM:
            return None
        case compatibility.CRI_DOCKERD:
            return f"unix://{layout.CRI_DOCKERD_SOCKET}"
        case _:
            return f"unix://{layout.CONTAINERD_SOCKET}"


def _kubeconfig(inputs: Inputs) -> Iterator[File]:
    """
    Return the kubelet's own kubeconfig where it names another apiserver than the configuration.

    The kubelet writes it when it joins, and nobody after that. The certificate in it stays good.
    One that others could write is rewritten, as every file of fabnode's; so is one without the
    name to verify apiservers by, which the kubelet leaves out (`names_server`).
    """
    cluster, there = inputs.config.cluster, inputs.facts.path(layout.KUBELET_KUBECONFIG)
    found = inputs.facts.servers.get(layout.KUBELET_KUBECONFIG, "")
    pair = layout.kubelet_client_certificate(inputs.node.kubelet.root)
    content = kubeconfig(
        cluster=cluster.name,
        server=cluster.server,
        server_name=cluster.server_name,
        ca=layout.CA,
        user="kubelet",
        credentials={"client-certificate": pair, "client-key": pair},
    )
    right = found.rstrip("/") == cluster.server.rstrip("/")
    named = not names_server(inputs) or there.sha256 == hashlib.sha256(content).hexdigest()
    kept = right and named and there.roots_alone
    if not inputs.facts.known or not inputs.joined or kept:
        return
    why = f"server {found or 'not readable'} → {cluster.server}"
    if right:
        why = "others than root could write it"
        if not named:
            why = f"apiservers are verified by the name {cluster.server_name}"
    # Once it is right it is no longer wanted, and so it is no part of the unit's stamp.
    yield File(layout.KUBELET_KUBECONFIG, content, 0o600, ephemeral=True, why=why)


def requests_serving(inputs: Inputs) -> str:
    """
    Return why the kubelet is to request another serving certificate; empty: its own is good.

    It requests one by itself once it has started with the node's new address. The old certificate
    stays until then: without one, a kubelet that starts requests one for the address that its Node
    has had so far, which nobody approves, and waits a quarter of an hour for that.
    """
    if not inputs.facts.known or not inputs.joined:
        return ""
    held = inputs.facts.certificate(layout.kubelet_serving_certificate(inputs.node.kubelet.root))
    if not held.pem:
        return "it has no serving certificate" if inputs.kubelet_settled else ""
    dns, addresses = serving_names(Candidate(inputs.node.name, *inputs.node.ips))
    lacking = missing_names(held, (*dns, *addresses))
    return f"its serving certificate is not for {', '.join(lacking)}" if lacking else ""


def _replaced(inputs: Inputs) -> tuple[str, ...]:
    """Return the certificates that the kubelet would go on using, and is to request again."""
    root = inputs.node.kubelet.root
    client = layout.kubelet_client_certificate(root)
    serving = layout.kubelet_serving_certificate(root)
    if not inputs.facts.known:
        return (client, serving)  # what must be probed
    paths = [] if inputs.joined else [client]
    held = inputs.facts.certificate(serving)
    # One that doesn't hold is no reason to restart a kubelet, but goes along when it asks anyway.
    useless = not inputs.joined and problem(held, inputs.config.ca_pem, inputs.now)
    loose = serving in inputs.facts.loose  # others than root could write it, and its key
    if held.pem and (useless or loose or inputs.renewal.reason(SERVING, held)):
        paths.append(serving)
    return tuple(paths)


STEP = Step(
    "kubelet",
    "Install the kubelet and have it join.",
    desired=desired,
    requires=("bootstrap-kubeconfig",),
)
