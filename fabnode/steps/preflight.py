"""Step preflight: findings, each with its fix, that prevent or accompany a change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..cni.registry import network
from ..node import config_files, layout
from ..node.conventions import BALANCER_SERVICE
from ..pki.certificates import problem, read
from ..releases import compatibility
from ..releases.matrix import matrix
from ..releases.version import Release
from ..util import program
from ..util.loopback import BALANCER_PORT
from . import boot_overrides, environment, host_ipv6, program_owners, takeover
from .environment import MIB
from .finding import Finding
from .inputs import Inputs
from .kernel import NFTABLES_KERNEL, NFTABLES_NFT, PROXY_TOOLS, brings, modules, numbers
from .step import Scope, Step

MAX_CLOCK_OFFSET = 30.0  # seconds; certificates are valid from the second they are signed


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What is known beyond the node itself.

    :param server_version: of the apiserver.
    :param clock_offset: apiserver's clock minus the deployer's, seconds; None where unknown.
    :param api_from_node: why the apiserver can't be used from the node; empty when it can, None
        where that could not be tried.
    :param machine_ids: of nodes, by their names; of this one, as the API has it registered.
    :param other_approvers: what has first certificates approved by others than fabnode; None where
        that could not be asked.
    :param at_its_address: names of the nodes that the API has registered at this node's address.
    :param network_knows_api: the pod network's own pods have the apiserver's address, beside its
        Service; asked only for nodes that are to join without kube-proxy.
    :param api_partly: why the node can't use each of these apiservers, while it can use another.
    """

    server_version: Release
    clock_offset: float | None
    api_from_node: str | None
    machine_ids: Mapping[str, str]
    other_approvers: tuple[str, ...] | None = ()
    at_its_address: tuple[str, ...] = ()
    network_knows_api: bool = False
    api_partly: tuple[str, ...] = ()


UNKNOWN_APPROVERS_FIX = f"update the account with `{program.task('rbac.deployer')}`"
OTHER_APPROVER_FIX = (
    "delete it, or bind it to the group of those tokens alone that it is meant for, as kubeadm "
    "does: `kubectl edit clusterrolebinding NAME`"
)


def unknown_approvers() -> str:
    """Return that nobody can say who else approves."""
    return "fabnode lacks the right to check whether something else approves first certificates"


def other_approver(found: Sequence[str]) -> str:
    """Return what others approve, in a sentence."""
    return (
        f"by {', '.join(found)} kube-controller-manager approves any request made with a "
        "fabnode token, in any node's name"
    )


def findings(inputs: Inputs, around: Surroundings) -> tuple[Finding, ...]:
    """Return everything that is wrong or doubtful, errors first."""
    found = [
        *_architecture(inputs),
        *_fetching(inputs),
        *_comparing(inputs),
        *_clock(inputs, around),
        *_api(around),
        *program_owners.folders(inputs.facts),
        *_names(inputs, around),
        *_versions(inputs, around),
        *_cgroups(inputs),
        *_swap(inputs),
        *_ports(inputs),
        *_balancer(inputs),
        *_docker(inputs),
        *_kernel(inputs),
        *_sysctls(inputs),
        *_proxy_mode(inputs, around),
        *takeover.findings(inputs),
        *_other_approvers(inputs, around),
        *environment.findings(inputs),
        *host_ipv6.findings(inputs),
    ]
    return tuple(sorted(found, key=lambda f: f.level != "error"))


def _architecture(inputs: Inputs) -> Iterator[Finding]:
    mine, theirs = inputs.facts.arch, inputs.artifacts.arch
    if theirs and mine != theirs:
        fetch = f"`{program.task(f'binaries.fetch --arch {mine}')}` fetches them"
        known = mine in {"amd64", "arm64"}
        yield Finding(
            "error",
            f"its architecture is {mine}, but artifacts.binaries has no programs for it",
            fetch if known else "fabnode knows amd64 and arm64 machines",
        )


def _other_approvers(inputs: Inputs, around: Surroundings) -> Iterator[Finding]:
    if inputs.joined:
        return  # it gets no token
    if around.other_approvers is None:
        yield Finding(
            "warning",
            unknown_approvers(),
            UNKNOWN_APPROVERS_FIX,
        )
    elif around.other_approvers:
        yield Finding("error", other_approver(around.other_approvers), OTHER_APPROVER_FIX)


def _fetching(inputs: Inputs) -> Iterator[Finding]:
    if inputs.config.artifacts.distribution == "pull" and not inputs.facts.tools & {
        "curl",
        "wget",
    }:
        yield Finding(
            "error",
            "it has neither curl nor wget, which pulling artifacts needs",
            "install curl on it, or set artifacts.distribution: push",
        )


def _comparing(inputs: Inputs) -> Iterator[Finding]:
    """Find that a key can't be compared which a shared token leaves as the only proof."""
    shared = inputs.config.bootstrap.mode == "token-file" and not inputs.joined
    if shared and "ssh-keygen" not in inputs.facts.tools:
        yield Finding(
            "error",
            "it has no ssh-keygen, by which its key is compared before its certificate is approved",
            "install openssh-client (openssh-keygen in some distributions) on it, or set"
            " bootstrap.mode: token",
        )


def _clock(inputs: Inputs, around: Surroundings) -> Iterator[Finding]:
    if around.clock_offset is None:
        return
    offset = inputs.facts.clock_offset - around.clock_offset
    if abs(offset) > MAX_CLOCK_OFFSET:
        way = "ahead of" if offset > 0 else "behind"
        yield Finding(
            "error",
            f"its clock is {abs(offset):.0f} s {way} the apiserver's",
            "run a time service on it (systemd-timesyncd or chrony); certificates fail otherwise",
        )


def _api(around: Surroundings) -> Iterator[Finding]:
    if around.api_from_node is None:
        yield Finding(
            "warning",
            "whether it reaches the apiserver could not be checked: its sshd forbids forwarding",
            "let the deployer's user forward in its sshd_config (AllowTcpForwarding, PermitOpen,"
            " DisableForwarding), or check it by hand",
        )
    elif around.api_from_node:
        yield Finding(
            "error",
            f"it can't use the apiserver: {around.api_from_node}",
            "check cluster.apiserver, cluster.ca and the network between node and control plane",
        )
    for why in around.api_partly:
        yield Finding(
            "warning",
            f"it can't use one of the apiservers, {why}",
            "start it, or correct or take out its entry in cluster.apiserver: the others serve"
            " meanwhile",
        )


def _names(inputs: Inputs, around: Surroundings) -> Iterator[Finding]:
    twin = next(
        (
            name
            for name, machine_id in around.machine_ids.items()
            if machine_id == inputs.facts.machine_id and name != inputs.node.name
        ),
        None,
    )
    others = [name for name in around.at_its_address if name != inputs.node.name]
    if others:
        yield Finding(
            "warning" if inputs.joined else "error",
            f"its address {' or '.join(inputs.node.ips)} is registered by another Node object:"
            f" {others[0]}",
            f"where this host is that node, call it {others[0]} in the configuration; where it was,"
            f" `kubectl delete node {others[0]}`; else give one of the two another address",
        )
    elif twin and inputs.facts.machine_id:
        yield _twin(inputs, around, twin)
    if not inputs.facts.machine_id:
        yield Finding(
            "warning",
            "its /etc/machine-id holds none: journalctl shows nothing there, and it can't be"
            " distinguished from other hosts",
            "run `systemd-machine-id-setup` on it, and reboot it",
        )
    lacking = [ip for ip in inputs.node.ips if ip not in inputs.facts.addresses]
    if inputs.facts.addresses and lacking:
        yield Finding(
            "warning",
            f"none of its interfaces has its address {' or '.join(lacking)}",
            "set the node's address to one that it has itself, unless it is behind NAT",
        )


def _twin(inputs: Inputs, around: Surroundings, twin: str) -> Finding:
    """
    Judge two hosts with one machine-id.

    What a node's id is, its own kubelet says, and may say to keep another node from being worked
    on. One that is registered under its id, and proves by its certificate that it is that node, was
    there first, whatever others claim.
    """
    name, facts = inputs.node.name, inputs.facts
    path = layout.kubelet_client_certificate(inputs.node.kubelet.root)
    held = facts.certificate(path)
    if (
        around.machine_ids.get(name) == facts.machine_id
        and problem(held, inputs.config.ca_pem, inputs.now) is None
        and read(held).common_name == f"system:node:{name}"
    ):
        return Finding(
            "warning",
            f"{twin} reports the machine-id with which {name} is registered",
            f"check {twin}, not {name}: it is a clone (empty /etc/machine-id on {twin} and"
            " reboot it), or its kubelet reports a false one",
        )
    return Finding(
        "error",
        f"it has the same machine-id as {twin}",
        f"where {name} is {twin} itself, configure it once, as {twin}; where it is a clone, empty"
        f" /etc/machine-id on {name} and reboot it; if /etc/machine-id on {twin} is another, check"
        f" what {twin}'s kubelet reports",
    )


def _versions(inputs: Inputs, around: Surroundings) -> Iterator[Finding]:
    mine, server = inputs.version, around.server_version
    if (mine.major, mine.minor) > (server.major, server.minor):
        yield Finding(
            "error",
            f"Kubernetes {mine} is newer than the apiserver's {server}",
            f"set cluster.version to {server.series}.x: kubelets may not be newer",
        )
    span = compatibility.skew(mine.minor)
    if server.minor - mine.minor > span:
        yield Finding(
            "error",
            f"Kubernetes {mine} is more than {span} minors older than the apiserver's {server}",
            f"set cluster.version to 1.{compatibility.oldest(server.minor)} or newer (skew policy)",
        )


def _cgroups(inputs: Inputs) -> Iterator[Finding]:
    kubelet, minor = matrix().kubelet, inputs.version.minor
    if inputs.facts.cgroup == 2:
        if minor not in kubelet.cgroup_v2:
            yield Finding(
                "error",
                f"it has cgroup v2, which Kubernetes {inputs.version.series} can't use",
                "boot it with systemd.unified_cgroup_hierarchy=0",
            )
    elif minor not in kubelet.cgroup_v1:
        yield Finding(
            "error",
            f"it has cgroup v1, which Kubernetes {inputs.version.series} no longer supports",
            "boot it with systemd.unified_cgroup_hierarchy=1",
        )
    elif kubelet.cgroup_v1.warned(minor):
        yield Finding(
            "warning",
            "it has cgroup v1, which Kubernetes will stop supporting",
            "boot it with systemd.unified_cgroup_hierarchy=1; until then failCgroupV1 is set false",
        )


def _swap(inputs: Inputs) -> Iterator[Finding]:
    if inputs.facts.swap and inputs.node.kubelet.fail_swap_on:
        units = boot_overrides.generated_swaps(inputs.facts.config_files)
        in_fstab = f"`swapoff -a` and take it out of {config_files.FSTAB}"
        off = f"`{boot_overrides.mask(units)}`" if units else in_fstab
        yield Finding(
            "error",
            f"it has {inputs.facts.swap // MIB} MiB of swap, with which the kubelet won't start",
            f"run {off}, or set kubelet.fail_swap_on: false",
        )


def _ports(inputs: Inputs) -> Iterator[Finding]:
    # What serves Services in kube-proxy's place may answer where it does (Cilium: 10256).
    gone = "kube-proxy" if inputs.without_proxy else ""
    ports = {port: owner for port, owner in layout.PORTS.items() if owner != gone}
    for listener in inputs.facts.listeners:
        owner, process = ports.get(listener.port), listener.process
        runs = inputs.facts.unit(f"{owner}.service").running
        if owner and process == owner and not runs:
            yield Finding(
                "error",
                f"port {listener.port} of the {owner} is taken by a {owner} that is not its unit's",
                "stop what runs it, another unit (`ss -ltnp`) or a pod: have the DaemonSet"
                " kube-proxy leave this node out, by a nodeSelector or an affinity",
            )
        # Whose port it is, is not always known; one whose owner does not run is somebody else's.
        elif owner and process != owner and (process or not runs):
            other = process or "another process"
            yield Finding(
                "error",
                f"port {listener.port} of the {owner} is taken by {other}",
                f"find it with `ss -ltnp`, and stop {other} or move it to another port",
            )


def _balancer(inputs: Inputs) -> Iterator[Finding]:
    """Find what keeps a node from having its own way to several apiservers."""
    if not inputs.config.cluster.balanced:
        return
    if layout.BALANCER_PROGRAM not in inputs.facts.tools:
        yield Finding(
            "error",
            f"it has no {layout.BALANCER_PROGRAM}, by which it is to reach several apiservers",
            f"install the package {layout.BALANCER_PROGRAM} on it (its own service may stay off),"
            " or have cluster.apiserver name one URL, a load balancer's",
        )
    runs = inputs.facts.unit(BALANCER_SERVICE).running
    for listener in inputs.facts.listeners:
        if listener.port == BALANCER_PORT and not runs:
            other = listener.process or "another process"
            yield Finding(
                "error",
                f"port {listener.port} of its balancer to the apiservers is taken by {other}",
                f"find it with `ss -ltnp`, and stop {other} or move it to another port",
            )


def _docker(inputs: Inputs) -> Iterator[Finding]:
    if (
        inputs.node.runtime.name == "docker"
        and inputs.facts.unit(layout.DOCKER).load == "not-found"
    ):
        yield Finding(
            "error",
            "it has no docker",
            "install it by the host's own packages (docker.io, docker-ce), or set runtime.name: "
            "containerd",
        )


def _kernel(inputs: Inputs) -> Iterator[Finding]:
    if inputs.facts.lacking & {"gzip", "modprobe"}:
        return  # without these it is not known
    needed = modules(inputs.config, inputs.node)
    absent = sorted(needed.keys() - inputs.facts.modules - inputs.facts.missing_modules)
    if inputs.facts.modules_disabled and absent:
        yield Finding(
            "error",
            f"its kernel no longer loads modules (kernel.modules_disabled), {', '.join(absent)}"
            " among them",
            "name them in a file of /etc/modules-load.d and reboot",
        )
    by_need: dict[str, list[str]] = {}
    for name in sorted(inputs.facts.missing_modules & needed.keys()):
        by_need.setdefault(needed[name], []).append(name)
    for need, names in by_need.items():
        lacking = ", ".join(names)
        yield Finding(
            "error",
            f"its kernel has no {lacking}, needed for {need}",
            f"install a kernel with {lacking}, or choose another mode in the configuration",
        )


def _sysctls(inputs: Inputs) -> Iterator[Finding]:
    """Find settings of the site's that the kernel has not, and that no module is about to bring."""
    facts = inputs.facts
    loads = modules(inputs.config, inputs.node).keys() - facts.modules - facts.missing_modules
    for key in sorted(inputs.node.host.sysctls.keys() & facts.missing_sysctls):
        if not any(brings(module, key) for module in loads):
            yield Finding(
                "error",
                f"its kernel has no setting {key} (host.sysctls)",
                "correct the name, name the module that brings it in host.modules, or set it for"
                " other nodes alone, in `host` of a group",
            )


def _proxy_mode(inputs: Inputs, around: Surroundings) -> Iterator[Finding]:
    mode, facts = inputs.node.kube_proxy.mode, inputs.facts
    if inputs.without_proxy:
        yield from _no_proxy(inputs, around)
        return
    needs = f"needed for kube-proxy's {mode} mode"
    other = "or choose another kube_proxy.mode"
    for tool, package in PROXY_TOOLS[mode].items():
        if tool not in facts.tools:
            yield Finding(
                "error",
                f"it has no {tool}, {needs}",
                f"install the package {package} on it, {other}",
            )
    if mode != "nftables":
        return
    for what, found, least in (
        ("kernel", facts.kernel, NFTABLES_KERNEL),
        ("nft", facts.nft, NFTABLES_NFT),
    ):
        if () < numbers(found) < least:
            newer = ".".join(map(str, least))
            text = f"its {what} is {found}, and {newer} is {needs}"
            yield Finding("error", text, f"upgrade it, {other}")


def _no_proxy(inputs: Inputs, around: Surroundings) -> Iterator[Finding]:
    """Find that a pod network would wait for what serves Services, and that for the network."""
    pods = network(inputs.config)
    if pods.runs_on_nodes and not inputs.joined and not around.network_knows_api:
        yield Finding(
            "warning",
            f"{inputs.without_proxy}, and pods of {pods.name} ask for the apiserver by its Service,"
            " which nothing serves before",
            f"have what takes kube-proxy's place run first, or give {pods.name} the apiserver's own"
            " address (docs/settings.md)",
        )


STEP = Step("preflight", "Check what would prevent joining.", Scope.CHECK)
