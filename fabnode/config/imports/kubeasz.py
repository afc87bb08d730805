"""kubeasz's clusters/NAME: `hosts`, an inventory in INI form, and `config.yml`, as our settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..starter import Network
from ..validators import is_address
from . import connection, forms
from .control_plane import take_first_apiserver
from .facts import Facts, Machine, Open, Taken
from .inventory import Inventory, Layer
from .survey import Reasons, Rule, Survey, UnfitError
from .values import Kind, Value, text_of, truth_of

if TYPE_CHECKING:
    from .values import Place

TOOL = "kubeasz"
WORKERS = ("kube_node", "kube-node", "new-node")
CONTROL = ("kube_master", "kube-master")

_OWN_REGISTRY = "easzlab.io.local"
_PORT = "6443"
_DNS_NUMBER = 2  # roles/cluster-addon/vars/main.yml
_NODE_LOCAL_DNS = "169.254.20.10"
_MARKERS = {"SERVICE_CIDR", "CLUSTER_CIDR", "CLUSTER_NETWORK", "CONTAINER_RUNTIME", "SECURE_PORT"}
_WITH_PREFIX = "k8s-"


_NAMES = Open(
    "nodes",
    "kubeasz calls nodes without k8s_nodename by their address, current releases by a name such as"
    f" {_WITH_PREFIX}192-168-1-4: names have to be as `kubectl get nodes` has them",
)


def _runtime(value: Value) -> str:
    found = forms.text(value)
    if found not in {"containerd", "docker"}:
        raise UnfitError(f"fabnode has containerd and docker, and no {found}")
    return found


def _sandbox(value: Value) -> str:
    found = forms.text(value)
    if found.startswith(_OWN_REGISTRY):
        raise UnfitError(
            "the registry that kubeasz runs on its own machine; fabnode's nodes take"
            " registry.k8s.io/pause, or name one here that they reach"
        )
    if "__" in found:
        raise UnfitError("it is a placeholder that nobody has replaced")
    return found


RULES: Mapping[str, Rule] = {
    "K8S_VER": Rule("cluster.version", forms.release),
    "SERVICE_CIDR": Rule("cluster.service_cidr", forms.networks),
    "CLUSTER_CIDR": Rule("cluster.pod_cidr", forms.networks),
    "CLUSTER_DNS_DOMAIN": Rule("cluster.dns_domain", forms.domain),
    "CLUSTER_NAME": Rule("cluster.name", forms.text),
    "CONTAINER_RUNTIME": Rule("runtime.name", _runtime),
    "CONTAINERD_ROOT_DIR": Rule("runtime.root", forms.path),
    "CONTAINERD_STORAGE_DIR": Rule("runtime.root", forms.path),
    "SANDBOX_IMAGE": Rule("runtime.sandbox_image", _sandbox),
    "KUBELET_ROOT_DIR": Rule("kubelet.root", forms.path),
    "MAX_PODS": Rule("kubelet.max_pods", forms.number),
    "PROXY_MODE": Rule("kube_proxy.mode", lambda value: forms.text(value).lower()),
}

_CONTROL = "the control plane's: fabnode makes workers, and changes no control plane"
_ADDONS = "the cluster's: fabnode installs no DNS, ingress, storage, metrics or other add-ons"
_NETWORK = "the pod network stays kubeasz's: `calico: none`"

REASONS: Reasons = (
    (
        r"(calico|CALICO|flannel|FLANNEL|cilium|CILIUM|kube_ovn|KUBE_OVN|kube_router|OVERLAY"
        r"|IP_AUTODETECTION|FIREWALL_ENABLE|DIRECT_ROUTING).*",
        _NETWORK,
    ),
    (
        r"(dns|coredns|LOCAL_DNS|ENABLE_LOCAL_DNS|CLUSTER_DNS).*",
        "the cluster's DNS is its own; cluster.dns_address names it",
    ),
    (
        r".*_install(ed)?|.*(metrics|dashboard|headlamp|prom|nfs|openebs|argocd|ingress|higress"
        r"|kubeblocks|local_path|minio|nacos|redis|rocketmq|kafka|network_check|node_problem|helm"
        r"|traefik|kubeapps|tiller|EFK|mysql|LOCAL_STORAGE).*",
        _ADDONS,
    ),
    (r"(HARBOR|harbor|NEW_INSTALL|SELF_SIGNED).*", "fabnode runs no registry; images.registries"),
    (
        r"(ETCD|etcd|MASTER|CA_|CERT_|CHANGE_CA|CONTEXT_NAME|CLUSTER_NAME|ENABLE_CLUSTER_AUDIT"
        r"|NODE_PORT_RANGE|NODE_CIDR_LEN|SECURE_PORT|BASIC_AUTH|LB_|EX_|KUBE_APISERVER|NODE_ID"
        r"|NODE_IP|NODE_NAME|IS_MASTER|NGINX_PROXY|CLUSTER_KUBERNETES|BOOTSTRAP_TOKEN|SERVICE_NODE|TMP_|DEPLOY_MODE).*",
        _CONTROL,
    ),
    (
        r"ENABLE_MIRROR_REGISTRY|INSECURE_REG|REG_MIRRORS|DOCKER_.*|CONTAINERD_.*|LOG_.*|STORAGE.*"
        r"|POD_INFRA.*",
        "the runtime's configuration is fabnode's: runtime, images.registries (docs/settings.md)",
    ),
    (
        r"(KUBE_RESERVED|SYS_RESERVED|KUBELET|EVICT).*",
        "kubelet.config: {kubeReserved: …, systemReserved: …}",
    ),
    (
        r"(bin_dir|base_dir|cluster_dir|ca_dir|conf_dir|deploy_dir|basedir).*",
        "fabnode's nodes have its own layout: paths; what kubeasz laid in /opt/kube/bin stays",
    ),
    (
        r"INSTALL_SOURCE|OS_HARDEN|ntp.*|NTP.*|ENABLE_SETTING_HOSTNAME|local_network|time.*",
        "users, names, time and packages of hosts are yours; preflight checks them",
    ),
    (r"k8s_nodename|K8S_NODENAME", "what nodes are called: nodes[].name"),
    (r"CLUSTER_NETWORK|SANDBOX_IMAGE", _NETWORK),
    *connection.REASONS,
)


def matches(inventory: Inventory) -> bool:
    """Say whether an inventory is one of kubeasz's."""
    names = {name for name, _ in inventory.everything()}
    return bool(set(CONTROL) & inventory.groups.keys()) and len(_MARKERS & names) > 1


def add_config(variables: Mapping[str, Value], inventory: Inventory) -> None:
    """Add config.yml, which kubeasz hands to Ansible as extra variables."""
    for name, value in variables.items():
        inventory.set_group("all", name, value, Layer.EXTRA)


def facts(inventory: Inventory) -> Facts:
    """Return what kubeasz's cluster says."""
    workers, control = inventory.members(*WORKERS), inventory.members(*CONTROL)
    survey = Survey(inventory, list(workers), [g for g in WORKERS if g in inventory.groups])
    rules = dict(RULES)
    if text_of(survey.common("CONTAINER_RUNTIME")) == "docker":
        rules |= {"DOCKER_STORAGE_DIR": Rule("runtime.root", forms.path)}
        del rules["CONTAINERD_ROOT_DIR"], rules["CONTAINERD_STORAGE_DIR"]
    survey.apply(rules)
    for key in ("version", "service_cidr", "pod_cidr"):
        if not survey.ledger.has(f"cluster.{key}"):
            why = "neither hosts nor config.yml name it"
            survey.ledger.leave_open(f"cluster.{key}", why)
    _dns(survey)
    _apiserver(survey, control)
    _reserved(survey)
    network = _network(survey)
    named = [_named(survey, each) for each in connection.machines(survey, workers, control)]
    survey.finish(REASONS)
    return survey.facts(
        TOOL,
        named,
        network=network,
        ca="clusters/NAME/ssl/ca.pem of the machine that runs kubeasz",
        kubeconfig="clusters/NAME/kubectl.kubeconfig of the machine that runs kubeasz",
    )


def _dns(survey: Survey) -> None:
    """As roles/kube-node/templates/kubelet-config.yaml.j2 has it."""
    key, ledger = "cluster.dns_address", survey.ledger
    if truth_of(survey.common("ENABLE_LOCAL_DNS_CACHE"), default=False):
        cache = survey.common("LOCAL_DNS_CACHE")
        if cache and cache.odd is Kind.PLAIN and not cache.empty:
            ledger.take(key, text_of(cache), cache, "LOCAL_DNS_CACHE")
        else:
            ledger.assume(key, _NODE_LOCAL_DNS, TOOL)
        return
    service = survey.common("CLUSTER_DNS_SVC_IP")
    if service and is_address(text_of(service)):
        ledger.take(key, text_of(service), service, "CLUSTER_DNS_SVC_IP")
        return
    services = next((str(t.value) for t in ledger.taken if t.key == "cluster.service_cidr"), "")
    try:
        address = forms.nth_address(services, _DNS_NUMBER)
    except UnfitError:
        ledger.leave_open(key, "cluster.service_cidr is not known, which it lies in")
        return
    doubt = "config.yml does not say whether nodes have a DNS cache; its Service has this address."
    known = survey.common("ENABLE_LOCAL_DNS_CACHE") is not None
    ledger.assume(key, address, TOOL, "" if known else doubt)


def _apiserver(survey: Survey, control: dict[str, Place]) -> None:
    key, ledger = "cluster.apiserver", survey.ledger
    found = survey.common("KUBE_APISERVER")
    url = text_of(found) if found and found.odd is Kind.PLAIN else ""
    # Old releases have a balancer on each node, and then 127.0.0.1 here.
    if found and url.startswith("https://") and "//127." not in url:
        ledger.take(key, url, found, "KUBE_APISERVER")
        return
    for host, place in survey.inventory.members("ex_lb", "ex-lb", "lb").items():
        variables = survey.inventory.variables(host)
        address = text_of(variables.get("EX_APISERVER_VIP"))
        port = text_of(variables.get("EX_APISERVER_PORT")) or "8443"
        if address:
            doubt = "the balancer for clients outside; nodes of kubeasz go by one of their own."
            ledger.taken.append(
                Taken(key, forms.url(address, port), place, "EX_APISERVER_VIP", doubt)
            )
            return
    if not control:
        ledger.leave_open(key, "there is no kube_master")
        return
    first = next(iter(control.items()))
    take_first_apiserver(
        ledger,
        first,
        list(control),
        text_of(survey.common("SECURE_PORT")) or _PORT,
        balancer="kubeasz's nodes go by a balancer of their own on 127.0.0.1",
    )


def _reserved(survey: Survey) -> None:
    for name, field in (("KUBE_RESERVED_ENABLED", "kube"), ("SYS_RESERVED_ENABLED", "system")):
        value = survey.common(name)
        if value and truth_of(value, default=False):
            why = (
                f"{name} is on: how much stands in /var/lib/kubelet/config.yaml of a node;"
                f" write it into kubelet.config as {field}Reserved"
            )
            survey.ledger.leave_open("", why, value, name)


def _network(survey: Survey) -> Network:
    value = survey.common("CLUSTER_NETWORK")
    name = text_of(value)
    if value and name:
        survey.ledger.take("calico.enabled", False, value, "CLUSTER_NETWORK")
        return Network(
            other=f"{name}, which kubeasz installed and its DaemonSet runs on new nodes as well;"
            " docs/takeover.md says how fabnode may look after Calico in its place"
        )
    return Network(unseen="neither hosts nor config.yml name CLUSTER_NETWORK.")


def _named(survey: Survey, machine: Machine) -> Machine:
    """Return a host by the name that its node has: `k8s_nodename`, or one that kubeasz makes."""
    if not machine.worker:
        return machine
    given = survey.value(machine.name, "k8s_nodename")
    if given and given.odd is Kind.PLAIN and text_of(given):
        return replace(machine, name=text_of(given).replace("_", "-").lower())
    rule = survey.common("K8S_NODENAME")
    if rule and isinstance(rule.data, str) and _WITH_PREFIX in rule.data:
        name = _WITH_PREFIX + machine.name.replace(".", "-")
        return replace(machine, name=name)
    if _NAMES not in survey.ledger.open:
        survey.ledger.open.append(_NAMES)
    return machine
