"""k0sctl.yaml (its README, and k0s' docs/configuration.md) as our settings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...util.families import in_url
from ...util.problems import ConfigError, Problem
from ..starter import Network
from ..validators import is_address
from . import forms, k0sctl_networks, tree
from .control_plane import take_first_apiserver
from .facts import Facts, Ledger, Machine, Open, Taken
from .survey import Reasons, Rule
from .values import Kind, Value, text_of, truth_of

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOL = "k0sctl"
_GROUP = "k0sctl.k0sproject.io/"
_OF_K0S = "k0s.k0sproject.io/"

# k0s' own defaults, of pkg/apis/k0s/v1beta1.
_PROVIDER = "kuberouter"
_PORT = "6443"
_ROLES = {"controller", "worker", "controller+worker", "single"}
_ENVIRONMENT = re.compile(r"(?<!\$)\$(?:[A-Za-z_]|\{)")

RULES: Mapping[str, Rule] = {
    "metadata.name": Rule("cluster.name", forms.text),
    "spec.k0s.version": Rule("cluster.version", forms.release),
}
CONFIG_RULES: Mapping[str, Rule] = {
    "spec.network.clusterDomain": Rule("cluster.dns_domain", forms.domain),
    "spec.network.kubeProxy.mode": Rule("kube_proxy.mode", forms.text),
    "spec.network.kubeProxy.ipvs.strictARP": Rule(
        "kube_proxy.config.ipvs.strictARP", forms.if_true
    ),
}
_SSH: Mapping[str, Rule] = {
    "user": Rule("ssh.user", forms.text),
    "port": Rule("ssh.port", forms.number),
    "keyPath": Rule("ssh.keys", lambda value: [forms.text(value)]),
}
_HOST: Mapping[str, Rule] = {"kubeletRootDir": Rule("kubelet.root", forms.path)}
_FLAGS = {
    "--labels": ("labels", forms.labels),
    "--taints": ("taints", forms.taints),
    "--kubelet-extra-args": ("kubelet.extra_args", forms.flags),
}

_NAMES = Open(
    "nodes",
    "k0s calls a node without hostname as its system is called: names have to be as"
    " `kubectl get nodes` has them",
)
_K0S = "k0s' own: fabnode makes workers of kubelet, containerd and kube-proxy, not of k0s"
_NETWORK = "the pod network stays k0s': `calico: none`"
REASONS: Reasons = (
    (r"apiVersion|kind|.*\.apiVersion|.*\.kind|metadata.*|.*\.metadata.*", "what the file is"),
    (r".*\.hooks", "extensions.hooks: commands before and after steps (docs/extending.md)"),
    (r".*\.files", "artifacts.images for image archives; other files are the site's, or a step's"),
    (r".*\.environment", "fabnode's units take no variables; proxies: docs/settings.md"),
    (
        r".*\.(uploadBinary|k0sBinaryPath|k0sDownloadURL|useExistingK0s|k0sInstallPath)",
        "`binaries.fetch`, artifacts.distribution and artifacts.mirrors in its place",
    ),
    (r".*\.(os|privateInterface|dataDir|noTaints|reset|installFlags.*)", _K0S),
    (r".*\.(winRM|localhost)", "fabnode reaches Linux hosts by SSH"),
    (r".*hosts\[\d+\]\.(ssh|openSSH)\..*", "ssh, or ~/.ssh/config, which fabnode reads"),
    (r"spec\.options.*", "deploy, maintenance and timeouts in its place"),
    (r".*\.network\.(calico|kuberouter|provider|dualStack|nodeLocalLoadBalancing|.*)", _NETWORK),
    (r".*\.images.*", "images.registry, artifacts.images"),
    (
        r".*\.(api|storage|extensions|telemetry|konnectivity|controllerManager|scheduler"
        r"|installConfig|featureGates|podSecurityPolicy|etcd).*|spec\.k0s\..*|spec\..*",
        "the control plane's: fabnode makes workers, and changes no control plane",
    ),
)


def matches(documents: Sequence[Value]) -> bool:
    """Say whether one of these is a cluster of k0sctl's."""
    return _main(documents) is not None


def _main(documents: Sequence[Value]) -> Value | None:
    for each in documents:
        if text_of(each.at("apiVersion")).startswith(_GROUP):
            return each
    return None


def facts(documents: Sequence[Value], file: str) -> Facts:
    """
    Return what a k0sctl.yaml says.

    :raises ConfigError: it names no hosts, or hosts without role or address.
    """
    main = _main(documents)
    if main is None:
        hint = f"its apiVersion begins with {_GROUP}"
        raise ConfigError([Problem(file, 1, "apiVersion", "is no file of k0sctl's", hint)])
    main = marked(main)
    config = main.at("spec", "k0s", "config")
    for other in documents:
        if text_of(other.at("apiVersion")).startswith(_OF_K0S):
            config = marked(other)
    ledger = Ledger()
    machines = _machines(main, file, ledger)
    for found in tree.made(main, RULES, ledger):
        tree.note(ledger, found)
    for found in tree.made(config, CONFIG_RULES, ledger) if config else ():
        tree.note(ledger, found)
    own_proxy = _kube_proxy(config, ledger)
    _cluster(config, machines, ledger)
    network = _network(config, ledger)
    workers = [machine for machine in machines if machine.worker]
    if workers:
        why = (
            "workers of k0s are no nodes to take over: `k0s reset` takes k0s off a host, and"
            " fabnode makes a node of it again, under the same name"
        )
        ledger.leave_open("nodes", why)
    tree.finish(main, "", REASONS, ledger)
    if config is not None and config is not main.at("spec", "k0s", "config"):
        tree.finish(config, "ClusterConfig", REASONS, ledger)
    return Facts(
        tool=TOOL,
        sources=(file,),
        taken=tuple(ledger.taken),
        open=tuple(ledger.open),
        without=tuple(ledger.without),
        machines=tuple(machines),
        network=network,
        own_kube_proxy=own_proxy,
        ca="/var/lib/k0s/pki/ca.crt of a controller",
        kubeconfig="what `k0sctl kubeconfig` prints",
    )


def marked(value: Value) -> Value:
    """Return a value with texts that k0sctl fills from the environment marked as expressions."""
    if isinstance(value.data, dict):
        pairs = {key: marked(each) for key, each in value.data.items()}
        return replace(value, data=pairs)
    if isinstance(value.data, list):
        return replace(value, data=[marked(each) for each in value.data])
    if isinstance(value.data, str) and _ENVIRONMENT.search(value.data):
        return replace(value, kind=Kind.EXPRESSION)
    return value


def _machines(main: Value, file: str, ledger: Ledger) -> list[Machine]:
    hosts = main.at("spec", "hosts")
    if hosts is None or not hosts.items:
        line = hosts.place.line if hosts else main.place.line
        hint = "k0sctl lists hosts there, with role and ssh"
        raise ConfigError([Problem(file, line, "spec.hosts", "names no hosts", hint)])
    found, problems = [], []
    for index, host in enumerate(hosts.items):
        role = text_of(host.at("role"))
        key = f"spec.hosts[{index}]"
        if role not in _ROLES:
            hint = "one of controller, worker, controller+worker and single"
            line = host.place.line
            problems.append(Problem(file, line, f"{key}.role", "is no role of k0sctl's", hint))
            continue
        if truth_of(host.at("reset"), default=False):
            ledger.drop(key, host, "it is to be reset")
            continue
        ledger.use(host.at("role"))
        found.append(_machine(host, role, key, ledger))
    if problems:
        raise ConfigError(problems)
    return found


def _machine(host: Value, role: str, key: str, ledger: Ledger) -> Machine:
    worker = role != "controller"
    doubts: list[str] = []
    means = next((m for m in ("ssh", "openSSH") if host.at(m)), "")
    address = host.at(means, "address") if means else None
    private, named = host.at("privateAddress"), host.at("hostname")
    for each in (address, private, named):
        ledger.use(each)
    reached, inner = _plain(address), _plain(private)
    if worker and not reached:
        doubts.append(
            f"{key} has no address that stands here as it is: it is reached by other means than"
            " SSH, or stands for something of the environment's."
        )
    name = _plain(named) or inner or reached or f"host-{host.place.line}"
    if worker and not _plain(named) and _NAMES not in ledger.open:
        ledger.open.append(_NAMES)
    taken: list[Taken] = []
    left: list[Open] = []
    found = [
        *(tree.made(host.at(means) or host, _SSH, ledger) if means else ()),
        *tree.made(host, _HOST, ledger),
        *_bastion(host.at(means, "bastion") if means else None, ledger),
        *_flags(host.at("installFlags"), ledger),
    ]
    for each in found if worker else ():
        if isinstance(each, Taken):
            taken.append(each)
        else:
            left.append(each)
    return Machine(
        name,
        host.place,
        reached or name,
        inner if is_address(inner) else None,
        control=role != "worker",
        worker=worker,
        doubts=tuple(doubts),
        taken=tuple(taken),
        open=tuple(left),
    )


def _plain(value: Value | None) -> str:
    return text_of(value) if value and value.kind is Kind.PLAIN else ""


def _bastion(bastion: Value | None, ledger: Ledger) -> Iterator[Taken | Open]:
    if bastion is None:
        return
    ledger.use(bastion)
    if bastion.odd is not Kind.PLAIN:
        yield Open("ssh.gateway", "bastion: it is not read", bastion.place, "bastion")
        return
    user, port = text_of(bastion.at("user")) or "root", text_of(bastion.at("port"))
    gateway = f"{user}@{in_url(text_of(bastion.at('address')))}"
    gateway += f":{port}" if port and port != "22" else ""
    yield Taken("ssh.gateway", gateway, bastion.place, "bastion")
    if key := bastion.at("keyPath"):
        why = "bastion: a key of its own belongs into ~/.ssh/config"
        yield Open("ssh.gateway", why, key.place, "keyPath")


def _flags(flags: Value | None, ledger: Ledger) -> Iterator[Taken | Open]:
    """Yield labels, taints and the kubelet's flags among the flags of `k0s install`."""
    for flag in flags.items if flags else ():
        try:
            words = shlex.split(text_of(flag))
        except ValueError:
            continue
        for name, (key, form) in _FLAGS.items():
            prefix = f"{name}="
            if flag.kind is Kind.PLAIN and words and words[0].startswith(prefix):
                ledger.use(flag)
                content = words[0].removeprefix(prefix)
                value = replace(flag, data=content, written=content)
                if content == "--cloud-provider=external":
                    external = "kubelet.cloud_provider"
                    yield Taken(external, "external", flag.place, f"installFlags {name}")
                    continue
                yield tree.one(value, Rule(key, form), f"installFlags {name}")
            elif flag.kind is not Kind.PLAIN and text_of(flag).startswith(prefix):
                ledger.use(flag)
                yield tree.one(flag, Rule(key, form), f"installFlags {name}")


def _kube_proxy(config: Value | None, ledger: Ledger) -> bool:
    disabled = config.at("spec", "network", "kubeProxy", "disabled") if config else None
    if disabled and truth_of(disabled, default=False):
        ledger.take("kube_proxy.enabled", False, disabled, "kubeProxy.disabled")
        return False
    return True


def _cluster(config: Value | None, machines: list[Machine], ledger: Ledger) -> None:
    k0sctl_networks.take(config, ledger)
    if not ledger.has("cluster.version"):
        why = "spec.k0s.version is not there: k0sctl takes the newest release of k0s"
        ledger.leave_open("cluster.version", why)
    api = config.at("spec", "api") if config else None
    port = _plain(api.at("port") if api else None) or _PORT
    for name in ("externalAddress", "address"):
        value = api.at(name) if api else None
        if value and _plain(value):
            ledger.take("cluster.apiserver", forms.url(_plain(value), port), value, name)
            return
    control = [machine for machine in machines if machine.control]
    if not control:
        ledger.leave_open("cluster.apiserver", "the file names no controller")
        return
    first = control[0]
    take_first_apiserver(
        ledger,
        (first.name, first.place),
        [each.ip or each.address for each in control],
        port,
        balancer="k0s' nodes may go by a balancer of their own, nodeLocalLoadBalancing",
    )


def _network(config: Value | None, ledger: Ledger) -> Network:
    provider = config.at("spec", "network", "provider") if config else None
    name = _plain(provider) or _PROVIDER
    if name == "custom":
        return Network(unseen="spec.network.provider is custom.")
    if provider:
        ledger.take("calico.enabled", False, provider, "provider")
    return Network(other=f"{name}, which k0s runs by a DaemonSet, on new nodes as well")
