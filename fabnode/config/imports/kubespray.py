"""kubespray's inventories: its groups and variables (its docs/ansible/vars.md) as our settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...util.families import Family, families_of, in_url, split_values
from ..starter import Network
from . import connection, forms, kubespray_networks
from .control_plane import take_first_apiserver
from .facts import Facts, Taken
from .inventory import Inventory, Layer
from .survey import Reasons, Rule, Survey, UnfitError
from .values import Kind, Place, Value, text_of, truth_of

TOOL = "kubespray"
WORKERS = ("kube_node", "kube-node")
CONTROL = ("kube_control_plane", "kube-master", "kube_master")
ABOVE = ("k8s_cluster", "k8s-cluster")

# Of roles/kubespray_defaults: where an inventory says nothing.
_NODE_LOCAL_DNS = "169.254.25.10"
_DNS_NUMBER = 3
_PORT = 6443
_RUNTIMES = {"containerd": "containerd", "docker": "docker"}
_RESERVED = ("cpu", "memory", "ephemeral_storage", "pid")
_MADE = Place("kubespray", 0)  # of a group that no file names
_ARGUMENTS = ("kubelet_config_extra_args", "kubelet_node_config_extra_args")
_CUSTOM = ("kubelet_custom_flags", "kubelet_node_custom_flags")


def _runtime(value: Value) -> str:
    found = forms.text(value)
    if found not in _RUNTIMES:
        raise UnfitError(f"fabnode has containerd and docker, and no {found}")
    return _RUNTIMES[found]


def _external(value: Value) -> str:
    if forms.text(value) != "external":
        raise UnfitError("only external, with a cloud controller manager, is possible")
    return "external"


def _proxy_mode(value: Value) -> str:
    return forms.text(value).lower()


def _sysctls(value: Value) -> dict[str, Any]:
    found = {}
    for each in value.items:
        name = text_of(each.at("name"))
        if not name:
            raise UnfitError("it is a list of {name: …, value: …}")
        found[name] = text_of(each.at("value"))
    return found


def mirrors(value: Value) -> dict[str, Any]:
    """Return `containerd_registries_mirrors` as `images.registries`."""
    found: dict[str, Any] = {}
    for each in value.items:
        prefix = text_of(each.at("prefix"))
        hosts = each.at("mirrors")
        if not prefix or hosts is None or not hosts.items:
            raise UnfitError("it is a list of {prefix: …, mirrors: [{host: …}]}")
        if any(truth_of(host.at("skip_verify"), default=False) for host in hosts.items):
            raise UnfitError(f"a mirror of {prefix} skips the check of certificates: give its CA")
        urls = [text_of(host.at("host")).rstrip("/") for host in hosts.items]
        # kubespray lists the registry itself as the last of its own mirrors.
        found[prefix] = {"mirrors": [url for url in urls if not _itself(url, prefix)]}
    return found


def _itself(url: str, prefix: str) -> bool:
    return url in {f"https://{prefix}", "https://registry-1.docker.io"}


RULES: Mapping[str, Rule] = {
    "kube_version": Rule("cluster.version", forms.release),
    "containerd_registries_mirrors": Rule("images.registries", mirrors),
    "bin_dir": Rule("paths.programs", forms.path),
    "container_manager": Rule("runtime.name", _runtime),
    "containerd_storage_dir": Rule("runtime.root", forms.path),
    "kubelet_max_pods": Rule("kubelet.max_pods", forms.number),
    "kubelet_fail_swap_on": Rule("kubelet.fail_swap_on", forms.flag),
    "cloud_provider": Rule("kubelet.cloud_provider", _external),
    "eviction_hard": Rule("kubelet.config.evictionHard", forms.mapping),
    "kubelet_shutdown_grace_period": Rule("kubelet.config.shutdownGracePeriod", forms.text),
    "kubelet_shutdown_grace_period_critical_pods": Rule(
        "kubelet.config.shutdownGracePeriodCriticalPods", forms.text
    ),
    "kubelet_pod_pids_limit": Rule("kubelet.config.podPidsLimit", forms.number),
    "kubelet_logfiles_max_nr": Rule("kubelet.config.containerLogMaxFiles", forms.number),
    "kubelet_logfiles_max_size": Rule("kubelet.config.containerLogMaxSize", forms.text),
    "kubelet_image_gc_high_threshold": Rule(
        "kubelet.config.imageGCHighThresholdPercent", forms.number
    ),
    "kubelet_image_gc_low_threshold": Rule(
        "kubelet.config.imageGCLowThresholdPercent", forms.number
    ),
    "kubelet_cpu_manager_policy": Rule("kubelet.config.cpuManagerPolicy", forms.text),
    "kubelet_topology_manager_policy": Rule("kubelet.config.topologyManagerPolicy", forms.text),
    "kubelet_protect_kernel_defaults": Rule("kubelet.config.protectKernelDefaults", forms.flag),
    "kubelet_feature_gates": Rule("kubelet.config.featureGates", forms.gates),
    **{name: Rule("kubelet.config", forms.mapping) for name in _ARGUMENTS},
    **{name: Rule("kubelet.extra_args", forms.flags) for name in _CUSTOM},
    **{
        f"{scope}_{resource}_reserved": Rule(
            f"kubelet.config.{scope}Reserved.{resource.replace('_', '-')}", forms.text
        )
        for scope in ("kube", "system")
        for resource in _RESERVED
    },
    "kube_proxy_mode": Rule("kube_proxy.mode", _proxy_mode),
    "kube_proxy_strict_arp": Rule("kube_proxy.config.ipvs.strictARP", forms.if_true),
    "additional_sysctl": Rule("host.sysctls", _sysctls),
    "node_labels": Rule("labels", forms.labels),
    "node_taints": Rule("taints", forms.taints),
}

_CONTROL = "the control plane's: fabnode makes workers, and changes no control plane"
_ADDONS = "the cluster's: fabnode installs no DNS, ingress, storage, metrics or other add-ons"
_NETWORK = "the pod network stays kubespray's: `calico: none`"
_DOWNLOADS = "`binaries.fetch` and artifacts.mirrors in its place"
_RUNTIME = "containerd's configuration is fabnode's: runtime, images.registries (docs/settings.md)"
_PROXY = (
    "fabnode sets no proxies: hosts' own, or a drop-in of containerd's (docs/settings.md, Proxies)"
)

REASONS: Reasons = (
    *kubespray_networks.REASONS,
    (r"(https?_proxy|no_proxy|additional_no_proxy|skip_http_proxy.*|.*_proxy_cert.*)", _PROXY),
    (r"no_proxy_exclude_workers", _PROXY),
    (
        r"(calico|canal|cilium|flannel|kube_ovn|kube_router|weave|macvlan|multus|typha|global_as)"
        r".*|kube_network_plugin_multus|kube_network_node_prefix(_ipv6)?|peer_with_router|nat_outgoing.*"
        r"|custom_cni.*|cni_.*|peers|enable_nat.*|enable_network_policy",
        _NETWORK,
    ),
    (
        r"(coredns|nodelocaldns|dns|enable_coredns|enable_nodelocaldns|skydns|upstream_dns"
        r"|searchdomains|remove_default_searchdomains|ndots|resolvconf|manual_dns|deploy_netchecker"
        r"|netchecker|enable_dns|disable_host_nameservers|nameservers|cluster_domain).*",
        "hosts' resolvers and the cluster's DNS are the site's; cluster.dns_address names it",
    ),
    (
        r"(helm|registry|metrics_server|local_path|local_volume|ingress|cert_manager|metallb"
        r"|argocd|krew|kube_vip|rbd_provisioner|cephfs|dashboard|persistent_volumes|csi|.*_csi"
        r"|node_feature|gateway_api|kubelet_csr_approver|scheduler_plugins|volume_cross|cinder"
        r"|external_[a-z]+_cloud|external_cloud|external_hcloud|external_vsphere|external_openstack"
        r"|openstack|vsphere|azure|aws|gcp|oci|upcloud|hcloud|huaweicloud|snapshot|expand_persist"
        r"|prometheus|storage|nfs|longhorn|alb_|node_problem|event_rate|nvidia|kube_prom).*",
        _ADDONS,
    ),
    (
        r"(etcd|kube_apiserver|kubeapiserver|apiserver|loadbalancer|kubeadm|kube_controller"
        r"|kube_scheduler|kube_oidc|kube_webhook|kube_token|kube_api|kube_encrypt|kubernetes_audit"
        r"|audit|auto_renew|remove_anonymous|supplementary|kube_cert|kube_basic|podsecurity"
        r"|kube_pod_security|kube_users|authorization_modes|kube_kubeadm|event_ttl|tls_|kubeconfig"
        r"|kubectl|credentials|secondary_|kube_profiling|kube_certificate|control_plane).*",
        _CONTROL,
    ),
    (
        r"(download|local_release|.*_download_url|.*_checksum|.*_image_repo|.*_image_tag|files_repo"
        r"|registry_host|.*_repo|retry_stagger|image_command|.*_url|docker_image|pod_infra"
        r"|crictl|k8s_image|unsafe|.*_binary.*|gcr_|github_|kube_image|quay_).*|.*_version",
        _DOWNLOADS,
    ),
    (r"(containerd|docker|crio|runc|kata|gvisor|crun|youki|oci_).*", _RUNTIME),
    (
        r"(ntp|preinstall|disable_swap|swap|sysctl|populate|ping_access|ignore_assert|bootstrap"
        r"|override_system|hostname|fallback|unsupported|allow_unsupp|minimal|is_|firewall|selinux"
        r"|use_|rh_subscription|yum|apt|ubuntu|centos|system_upgrade|timezone|kernel|ip6?tables"
        r"|packages|pkg|required_pkgs|os_).*",
        "users, time, swap, packages and firewalls of hosts are yours; preflight checks them",
    ),
    (
        r"kube(let)?_(read_only_port|anonymous.*|auth.*|rotate.*|server.*|client.*|secure.*)",
        "fabnode's kubelets answer to the API alone, and renew their certificates",
    ),
    (
        r"kube_(config|script|manifest|token)_dir|kube_owner|.*_cgroups.*|.*cgroup.*|kube_log_level"
        r"|kube_reserved|system_reserved|kubelet_config_dir|default_kubelet.*|bin_dir|.*_dir",
        "fabnode lays out its nodes itself: paths, and kubelet.config for the rest",
    ),
    (
        r"(kubelet|kube_proxy|kube_feature|kube_service_node).*",
        "kubelet.config and kube_proxy.config have fields",
    ),
    (r"cluster_name|kube_service_subnets|kube_pods_subnets", "no name of ours depends on it"),
    *connection.REASONS,
)


def matches(inventory: Inventory) -> bool:
    """Say whether an inventory is one of kubespray's."""
    names = {name for name, _ in inventory.everything()}
    if {"kube_service_addresses", "kube_pods_subnet", "kube_network_plugin"} & names:
        return True
    groups = inventory.groups.keys()
    return bool({"kube_control_plane", *ABOVE} & groups) and bool(set(WORKERS) & groups)


def facts(inventory: Inventory) -> Facts:
    """Return what kubespray's inventory says."""
    workers, control = inventory.members(*WORKERS), inventory.members(*CONTROL)
    groups = [name for name in (*WORKERS, *ABOVE) if name in inventory.groups]
    survey = Survey(inventory, list(workers), groups)
    families = kubespray_networks.families(survey)
    _bastion(inventory, survey)
    survey.apply(_rules(survey))
    kubespray_networks.take(survey, families)
    families = families_of(split_values(_known(survey, "cluster.service_cidr"))) or families
    _version(survey)
    _domain(survey)
    _dns(survey)
    _apiserver(survey, control, families)
    network = _network(survey)
    own_proxy = _kube_proxy(survey)
    machines = connection.machines(survey, workers, control, families)
    survey.finish(REASONS)
    return survey.facts(
        TOOL,
        machines,
        network=network,
        own_kube_proxy=own_proxy,
        ca="/etc/kubernetes/ssl/ca.crt of a control-plane host",
        kubeconfig="/etc/kubernetes/admin.conf of a control-plane host",
    )


def complete(inventory: Inventory) -> None:
    """Add k8s_cluster as kubespray does, for inventories that name only the groups within it."""
    above = [name for name in ABOVE if name in inventory.groups]
    if above or not set(WORKERS) & inventory.groups.keys():
        return
    for name in (*WORKERS, *CONTROL, "calico_rr"):
        if name in inventory.groups:
            inventory.group("k8s_cluster").children[name] = _MADE


def _rules(survey: Survey) -> Mapping[str, Rule]:
    if text_of(survey.common("container_manager")) != "docker":
        return RULES
    rules = {name: rule for name, rule in RULES.items() if name != "containerd_storage_dir"}
    return {**rules, "docker_daemon_graph": Rule("runtime.root", forms.path)}


def _known(survey: Survey, key: str) -> str:
    """Return what was taken for one of our keys; empty where nothing was."""
    return next((str(each.value) for each in survey.ledger.taken if each.key == key), "")


def _version(survey: Survey) -> None:
    if not survey.ledger.has("cluster.version"):
        why = "the inventory names no kube_version; each release of kubespray has its own default"
        survey.ledger.leave_open("cluster.version", why)


def _domain(survey: Survey) -> None:
    for name in ("dns_domain", "cluster_name"):
        value = survey.common(name)
        if value and not value.empty:
            survey.apply({name: Rule("cluster.dns_domain", forms.domain)})
            return


def _dns(survey: Survey) -> None:
    """As kubelet-config.v1beta1.yaml.j2 has it: node-local, manual, or the Service's address."""
    key, ledger = "cluster.dns_address", survey.ledger
    local = survey.common("enable_nodelocaldns")
    if truth_of(local, default=True):
        address = survey.common("nodelocaldns_ip")
        doubt = "" if local else "the inventory does not say whether nodes have a DNS cache."
        given = address if address and address.odd is Kind.PLAIN and not address.empty else None
        cache = text_of(given) or _NODE_LOCAL_DNS
        if given:
            ledger.take(key, cache, given, "nodelocaldns_ip")
        else:
            ledger.assume(key, cache, TOOL, doubt)
        return
    manual = text_of(survey.common("dns_mode")) == "manual"
    name = "manual_dns_server" if manual else "skydns_server"
    server = survey.common(name)
    if server and server.odd is Kind.PLAIN and not server.empty:
        ledger.take(key, text_of(server), server, name)
        return
    services = _known(survey, "cluster.service_cidr")
    try:
        address_of_service = forms.nth_address(services, _DNS_NUMBER)
    except UnfitError as error:
        ledger.leave_open(key, str(error), server, name)
        return
    doubt = "kubespray computes it by an expression: its third address of service_cidr."
    if server:
        ledger.take(key, address_of_service, server, name, doubt)
    else:
        ledger.assume(key, address_of_service, TOOL, doubt)


def _apiserver(survey: Survey, control: dict[str, Place], families: Sequence[Family]) -> None:
    key, ledger = "cluster.apiserver", survey.ledger
    port_value = survey.common("kube_apiserver_port")
    port = text_of(port_value) or str(_PORT)
    balancer = survey.common("loadbalancer_apiserver")
    if balancer and balancer.odd is Kind.PLAIN and balancer.keys:
        domain = survey.common("apiserver_loadbalancer_domain_name")
        host = text_of(domain) or text_of(balancer.at("address"))
        url = forms.url(host, text_of(balancer.at("port")) or port)
        name = "apiserver_loadbalancer_domain_name" if text_of(domain) else "loadbalancer_apiserver"
        ledger.take(key, url, domain if domain and text_of(domain) else balancer, name)
        ledger.use(balancer)
        return
    if not control:
        ledger.leave_open(key, "the inventory names no control plane")
        return
    first = next(iter(control.items()))
    variables = survey.inventory.variables
    hosts = [connection.address_of(variables(each), each, families[0]) for each in control]
    take_first_apiserver(
        ledger,
        first,
        hosts,
        port,
        balancer="kubespray's nodes go by a balancer of their own on localhost",
    )


def _network(survey: Survey) -> Network:
    value = survey.common("kube_network_plugin")
    name = text_of(value) or "calico"
    if value and not value.empty and name not in {"none", "cni"}:
        survey.ledger.take("calico.enabled", False, value, "kube_network_plugin")
    if name in {"none", "cni"}:
        return Network(unseen=f"kubespray leaves it to others (kube_network_plugin: {name}).")
    return Network(
        other=f"{name}, which kubespray installed and its DaemonSet runs on new nodes as well;"
        " docs/takeover.md says how fabnode may look after Calico in its place"
    )


def _kube_proxy(survey: Survey) -> bool:
    removed = survey.common("kube_proxy_remove")
    if truth_of(removed, default=False) and removed:
        survey.ledger.take("kube_proxy.enabled", False, removed, "kube_proxy_remove")
        return False
    return True


def _bastion(inventory: Inventory, survey: Survey) -> None:
    """A host in the group `bastion` is the jump host of all others."""
    for host, place in inventory.members("bastion").items():
        variables = inventory.variables(host)
        user = text_of(variables.get("ansible_user") or variables.get("ansible_ssh_user"))
        port = text_of(variables.get("ansible_port") or variables.get("ansible_ssh_port"))
        own = inventory.of_hosts.get(host, {}).get(Layer.HOST_IN_FILE, {})
        for name in ("ansible_user", "ansible_ssh_user", "ansible_port", "ansible_host"):
            survey.ledger.use(own.get(name))
        address = in_url(connection.address_of(variables, host))
        gateway = f"{user}@{address}" if user else address
        gateway += f":{port}" if port and port != "22" else ""
        for worker in survey.workers or [""]:
            survey.note(worker, Taken("ssh.gateway", gateway, place, f"the group bastion: {host}"))
        return
