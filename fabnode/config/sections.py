"""
The sections of `config/cluster.yml`: their keys, defaults, and what one value may be.

What values mean together stands in `cross_checks.py`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from ..releases.version import Release
from ..util.families import Family, families_of, split_values
from ..util.problems import InvalidValueError, plain
from . import fields
from .apiservers import BALANCER, SERVER_NAME, Apiservers, endpoint

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

_CALICO = Release(3, 28, 5)
_IN_REPOSITORY = Release(3, 24, 0)  # the first whose documentation names that URL

MirrorName = Literal["kubernetes", "containerd", "runc", "cni_plugins", "crictl"]


def section(model: type[Section]) -> Any:
    """Return a field with this section's own defaults."""
    return Field(default_factory=dict, validate_default=True, description=model.__doc__)


def _release(text: str, description: str) -> Any:
    release = Release.parse(text)
    return Field(release, description=description, json_schema_extra={"default": text})


class Section(BaseModel):
    """A mapping of settings: frozen, and no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: object) -> object:
        # `artifacts:` with nothing but comments below it is null in YAML, and meant as empty.
        return {} if value is None else value


class Switchable(Section):
    """A part of nodes that a site may do without: `none` says the same as `{enabled: false}`."""

    enabled: fields.Flag = True

    @model_validator(mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        if isinstance(value, str):
            if value != "none":
                raise InvalidValueError("must be none or a mapping")
            return {"enabled": False}
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"const": "none"}, handler(core)]}


class SecretRef(BaseModel):
    """Where a secret is found: exactly one of `env`, `file` and `prompt`. Never the secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    env: fields.Text | None = Field(None, description="name of an environment variable")
    file: fields.LocalPath | None = Field(
        None, description="file whose first line it is; mode 0600"
    )
    prompt: Literal[True] | None = Field(None, description="ask for it, once per run")

    @model_validator(mode="before")
    @classmethod
    def _one_reference(cls, value: object) -> object:
        known = {"env", "file", "prompt"}
        if not isinstance(value, dict) or len(known & value.keys()) != 1:
            raise InvalidValueError(
                "must be one of {env: NAME}, {file: PATH} and {prompt: true},"
                " never the secret itself"
            )
        return value


class ClusterSettings(Section):
    """The cluster that nodes join."""

    name: fields.ClusterName = Field("kubernetes", description="name of the cluster in kubeconfigs")
    version: fields.ReleaseField = Field(description="Kubernetes release of kubelet and kube-proxy")
    apiserver: Apiservers = Field(
        description="https URL of the API as the nodes reach it; or a list of all apiservers' URLs,"
        " which each node then reaches by a balancer of its own"
    )
    ca: fields.LocalPath = Field(description="PEM certificate of the CA of apiserver and nodes")
    kubeconfig: fields.LocalPath = Field(description="what fabnode itself speaks to the API with")
    service_cidr: fields.Networks = Field(
        description="addresses of Services; two networks, of IPv4 and IPv6, for dual stack"
    )
    pod_cidr: fields.Networks = Field(
        description="addresses of pods, of each family that Services have; also Calico's pools"
    )
    dns_address: fields.Addresses = Field(
        description="the cluster's DNS Service, in service_cidr; or the link-local address of a"
        " cache on every node (NodeLocal DNSCache)"
    )
    dns_domain: fields.Domain = Field("cluster.local", description="the cluster's DNS domain")

    @property
    def apiservers(self) -> tuple[str, ...]:
        """URLs of the API; of several, each node has a balancer."""
        return (self.apiserver,) if isinstance(self.apiserver, str) else self.apiserver

    @property
    def service_cidrs(self) -> tuple[str, ...]:
        """Networks of Services; the first is of the family that a Service has by default."""
        return split_values(self.service_cidr)

    @property
    def pod_cidrs(self) -> tuple[str, ...]:
        """Networks of pods, of the same families."""
        return split_values(self.pod_cidr)

    @property
    def dns_addresses(self) -> tuple[str, ...]:
        """Addresses by which pods ask for names."""
        return split_values(self.dns_address)

    @property
    def families(self) -> tuple[Family, ...]:
        """Families of Services, and so of pods and nodes."""
        return families_of(self.service_cidrs)

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Host, a name or an address, and port of each URL."""
        return tuple(endpoint(url) for url in self.apiservers)

    @property
    def balanced(self) -> bool:
        """Whether nodes reach the API by a balancer of their own."""
        return len(self.apiservers) > 1

    @property
    def server(self) -> str:
        """URL of the API in the kubeconfigs of nodes."""
        return BALANCER if self.balanced else self.apiservers[0]

    @property
    def server_name(self) -> str:
        """Name that nodes verify apiservers by; empty: the URL's host."""
        return SERVER_NAME if self.balanced else ""

    @property
    def api_text(self) -> str:
        """The URL, or all of them, for people and journals."""
        return ", ".join(self.apiservers)


class SshSettings(Section):
    """How nodes are reached."""

    user: fields.User = Field("root", description="login user; others than root use sudo")
    port: fields.Port = Field(22, description="port of sshd")
    keys: Annotated[tuple[fields.LocalPath, ...], fields.EmptyList] = Field(
        (), description="private keys; default: the agent, ~/.ssh/config and the usual keys"
    )
    known_hosts: Annotated[tuple[fields.LocalPath, ...], fields.EmptyList] = Field(
        (), description="files of known host keys; default: ~/.ssh/known_hosts and the system's"
    )
    gateway: fields.Gateway | None = Field(None, description="jump host: [user@]host[:port]")
    password: SecretRef | None = Field(None, description="where the login password is found")
    sudo_password: SecretRef | None = Field(
        None, description="where the sudo password is found; left out: passwordless sudo"
    )
    connect_timeout: fields.Seconds = Field(10, description="seconds until connecting is given up")
    command_timeout: fields.Seconds = Field(300, description="seconds until a command is ended")


class PartReleases(Section):
    """Releases of what a node is made of besides Kubernetes and the runtime."""

    runc: fields.ReleaseField = _release("1.5.2", "runc")
    cni_plugins: fields.ReleaseField = _release("1.9.1", "the CNI project's plugins")
    crictl: fields.ReleaseField | None = Field(
        None, description="crictl; default: 1.X.0 for Kubernetes 1.X.Y"
    )


class ArtifactSettings(Section):
    """Files on this machine that nodes need, and where `inv binaries.fetch` gets them."""

    binaries: fields.LocalPath = Field(
        Path("artifacts/bin"),
        description="directory of kubelet, kube-proxy, containerd, its shim, ctr and runc; those of"
        " one architecture may lie in a directory amd64 or arm64 below",
    )
    cni_plugins: fields.LocalPath = Field(
        Path("artifacts/cni"), description="directory of CNI plugins (loopback, portmap, …)"
    )
    images: fields.LocalArchives = Field(
        (),
        description="image archives (docker-archive or OCI tar) loaded before anything is pulled:"
        " files, folders of them, or patterns such as images/*.tar",
    )
    distribution: Literal["push", "relay", "pull"] = Field(
        "push",
        description="push: sent over SSH to each host; relay: sent once, and passed on from host to"
        " host; pull: fetched by the hosts from `url`",
    )
    relay_port: fields.Port = Field(
        10280, description="TCP port on which nodes pass on parts to each other; with relay"
    )
    uplink_streams: fields.Count = Field(
        4, description="parts sent from here at once, at most; with relay"
    )
    url: fields.BaseUrl | None = Field(
        None, description="what serves the folder that `inv binaries.publish` makes; with pull"
    )
    url_ca: fields.LocalPath | None = Field(
        None, description="PEM certificate of the CA of `url`; default: those that hosts trust"
    )
    architectures: tuple[Literal["amd64", "arm64"], ...] = Field(
        ("amd64",), min_length=1, description="of the nodes: what is fetched"
    )
    releases: PartReleases = section(PartReleases)
    mirrors: Annotated[dict[MirrorName, fields.BaseUrl], fields.EmptyMapping] = Field(
        {}, description="base URLs that stand in for the official places"
    )
    mirrors_ca: fields.LocalPath | None = Field(
        None, description="PEM certificate of the CA of those mirrors; default: the system's CAs"
    )
    sums: Annotated[dict[fields.Text, fields.Sum], fields.EmptyMapping] = Field(
        {},
        description="end of a file's URL: its sha256 or sha512, instead of the one published with"
        " it; needed where none is published",
    )


class HandlerSettings(Section):
    """A further runtime of containerd's, which pods choose by a RuntimeClass."""

    type: fields.RuntimeType = Field(description="its shim, as io.containerd.kata.v2")
    path: fields.RemotePath | None = Field(
        None, description="the shim's program; default: by its type, in containerd's PATH"
    )
    options: Annotated[Mapping[fields.OptionName, fields.Option], fields.EmptyMapping] = Field(
        {}, description="options of the shim, as they are (BinaryName, ConfigPath, …)"
    )
    pod_annotations: Annotated[tuple[fields.PlainText, ...], fields.EmptyList] = Field(
        (), description="annotations of pods that it gets; patterns"
    )
    privileged_without_host_devices: fields.Flag = Field(
        False, description="privileged containers get no devices of the host (Kata)"
    )


class RuntimeSettings(Section):
    """The container runtime."""

    name: Literal["containerd", "docker"] = Field("containerd", description="the runtime")
    version: fields.ReleaseField | None = Field(
        None,
        description="release of containerd, which its configuration's form follows from; "
        "left out: of the newest line that fits the Kubernetes release",
    )
    sandbox_image: fields.ImageName = Field(
        "registry.k8s.io/pause:3.10.1", description="image of the pause container"
    )
    root: fields.RemotePath = Field(
        "/var/lib/containerd",
        description="its directory on the node; with docker the default is /var/lib/docker",
    )
    restrict_oom_score_adj: fields.Flag = Field(
        False, description="true where the host may not lower OOM scores (nested containers)"
    )

    limit_nofile: fields.OpenFiles | None = Field(
        None,
        description="open files of containerd and its containers: a number, SOFT:HARD or infinity;"
        " left out: systemd's default",
    )
    handlers: Annotated[Mapping[fields.HandlerName, HandlerSettings], fields.EmptyMapping] = Field(
        {}, description="further runtimes of containerd's (nvidia, kata, runsc) by their handlers"
    )
    default_handler: fields.HandlerName = Field(
        "runc", description="the one of pods without a RuntimeClass"
    )
    daemon: Annotated[Mapping[str, JsonValue], fields.EmptyMapping] = Field(
        {}, description="with docker: further settings of its daemon.json, as they are"
    )

    @model_validator(mode="before")
    @classmethod
    def _own_root(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("name") == "docker":
            return {"root": "/var/lib/docker", **value}
        return value


class RegistrySettings(Section):
    """A registry, by the name that images have: what nodes ask in its stead, and what it wants."""

    mirrors: Annotated[tuple[fields.BaseUrl, ...], fields.EmptyList] = Field(
        (), description="URLs asked first, in this order; their servers may have entries, too"
    )
    ca: fields.LocalPath | None = Field(None, description="PEM certificate of the server's CA")
    username: fields.Text | None = Field(None, description="user, for servers that want one")
    password: SecretRef | None = Field(None, description="where that user's password is found")


class ImageSettings(Section):
    """Where images come from."""

    registry: fields.Registry | None = Field(
        None,
        description="replaces the registry in the names of all images that fabnode names: Calico's,"
        " the sandbox's, those of `inv verify`",
    )
    registries: Annotated[dict[fields.RegistryHost, RegistrySettings], fields.EmptyMapping] = Field(
        {}, description="registries by name: mirrors, CAs, credentials"
    )


class PathSettings(Section):
    """Folders of nodes whose system keeps the usual ones read-only, or elsewhere."""

    programs: fields.RemotePath = Field(
        "/usr/local/bin", description="folder of the programs that fabnode installs"
    )
    state: fields.StateFolder = Field(
        "/var/lib/fabnode", description="folder of fabnode's own records, and of its quarantine"
    )
    cni_bin: fields.RemoteFolder = Field(
        "/opt/cni/bin", description="folder of the CNI plugins, of the pod network's as well"
    )
    cni_conf: fields.RemoteFolder = Field(
        "/etc/cni/net.d", description="folder in which the pod network configures the runtime"
    )


USUAL_PATHS = PathSettings.model_validate({})


class HostSettings(Section):
    """What on hosts is the site's own, beside what fabnode sets."""

    drop_ins: Annotated[tuple[fields.RemotePattern, ...], fields.EmptyList] = Field(
        (),
        description="drop-ins of units, by path or pattern, that may override what fabnode sets",
    )
    sysctls: Annotated[Mapping[fields.SysctlKey, fields.SysctlValue], fields.EmptyMapping] = Field(
        {}, description="further settings of the kernel: name: value"
    )
    modules: Annotated[tuple[fields.ModuleName, ...], fields.EmptyList] = Field(
        (), description="further modules of the kernel, loaded now and at each boot"
    )


class KubeletSettings(Section):
    """The kubelet."""

    root: fields.RemotePath = Field("/var/lib/kubelet", description="its directory on the node")
    max_pods: fields.Count = Field(110, description="pods a node takes at most")
    cloud_provider: Literal["external"] | None = Field(
        None,
        description="external: a cloud controller manager of the cluster's initializes nodes, which"
        " take no ordinary pods before",
    )
    startup_taints: Annotated[tuple[fields.TaintText, ...], fields.EmptyList] = Field(
        (),
        description="taints, key=value:Effect, with which a node registers, and which another"
        " program takes off once it is ready there",
    )
    hardened: fields.Flag = Field(
        False,
        description="limit processes of each pod, filter pods' system calls, and offer strong TLS"
        " ciphers alone; as the release has them",
    )
    fail_swap_on: fields.Flag = Field(True, description="refuse to run on a node with swap")
    config: Annotated[Mapping[str, JsonValue], fields.EmptyMapping] = Field(
        {}, description="further fields of KubeletConfiguration, as they are"
    )
    extra_args: Annotated[Mapping[fields.FlagName, fields.FlagValue], fields.EmptyMapping] = Field(
        {}, description="further flags, for what has no field: name: value, without dashes"
    )


class Subject(Section):
    """The subject of kube-proxy's certificate; its common name is always system:kube-proxy:NODE."""

    organization: fields.Organization = Field("k8s", description="O")
    organizational_unit: fields.SubjectName | None = Field("System", description="OU")
    country: fields.Country | None = Field(None, description="C, two capital letters")
    state: fields.SubjectName | None = Field(None, description="ST")
    locality: fields.SubjectName | None = Field(None, description="L")


class KubeProxySettings(Switchable):
    """The kube-proxy; `kube_proxy: none` for nodes on which something else serves Services."""

    enabled: fields.Flag = Field(
        True, description="false where the pod network takes its place (Cilium, kube-router)"
    )
    mode: Literal["iptables", "ipvs", "nftables"] = Field(
        "iptables", description="how Services are made reachable"
    )
    subject: Subject = section(Subject)
    signing: Literal["csr", "local"] = Field(
        "csr", description="who signs its certificate: the CSR API, or this machine with ca_key"
    )
    ca_key: fields.LocalPath | None = Field(
        None, description="PEM key of the CA, only for `signing: local`; never leaves this machine"
    )
    renew_before_days: fields.Days = Field(30, description="days left when the certificate is due")
    config: Annotated[Mapping[str, JsonValue], fields.EmptyMapping] = Field(
        {}, description="further fields of KubeProxyConfiguration, as they are"
    )
    extra_args: Annotated[Mapping[fields.FlagName, fields.FlagValue], fields.EmptyMapping] = Field(
        {}, description="further flags, for what has no field: name: value, without dashes"
    )

    @property
    def requested(self) -> bool:
        """Whether its certificate comes from the CSR API."""
        return self.enabled and self.signing == "csr"


class EtcdSettings(Section):
    """The etcd that Calico keeps its data in, and what it shows there; read on this machine."""

    endpoints: Annotated[tuple[fields.EtcdEndpoint, ...], Field(min_length=1)] = Field(
        description="https URLs of etcd as nodes reach it"
    )
    ca: fields.LocalPath = Field(description="PEM certificate of the CA of etcd's certificates")
    cert: fields.LocalPath = Field(description="PEM certificate that Calico shows to etcd")
    key: fields.LocalPath = Field(description="its PEM key; goes into a Secret, and nowhere else")


class CalicoSettings(Switchable):
    """Calico, the pods' network; `calico: none` for clusters that bring their own."""

    enabled: fields.Flag = Field(
        True, description="false for clusters that bring their own network"
    )
    version: fields.ReleaseField = Field(
        _CALICO, description="release of Calico", json_schema_extra={"default": str(_CALICO)}
    )
    manifest: fields.Manifest = Field(
        "artifacts/calico.yaml",
        description="the official manifest of that release: a file or an https URL",
    )
    manifest_sha256: fields.Sha256 | None = Field(
        None, description="digest of the manifest; needed with a URL"
    )
    components: Literal["all", "controllers"] = Field(
        "all",
        description="controllers: only kube-controllers, where calico-node runs by other means",
    )
    datastore: Literal["kubernetes", "etcd"] = Field(
        "kubernetes", description="where Calico keeps its data; etcd wants calico-etcd.yaml"
    )
    etcd: EtcdSettings | None = Field(None, description="the etcd, with `datastore: etcd`")
    backend: Literal["vxlan", "bird"] = Field("vxlan", description="how routes come about")
    encapsulation: Literal["Always", "CrossSubnet", "Never"] = Field(
        "Always", description="when packets between nodes are wrapped (VXLAN, or IPIP with bird)"
    )
    mtu: fields.Mtu | None = Field(
        None,
        description="bytes of the largest packet of pods; left out: the manifest's setting, which"
        " is what the host's NIC leaves",
    )
    ip_autodetection: fields.Autodetection = Field(
        "kubernetes-internal-ip", description="how calico-node finds its node's address"
    )
    ip6_autodetection: fields.Autodetection = Field(
        "kubernetes-internal-ip",
        description="how calico-node finds its node's IPv6 address, where pods have such",
    )
    registry: fields.Registry | None = Field(
        None, description="registry to take its images from; default: images.registry"
    )
    controllers_host_network: fields.Flag = Field(
        True, description="run calico-kube-controllers in its host's network"
    )
    allow_untested: fields.Flag = Field(
        False, description="take a pair of Calico and Kubernetes that its makers did not test"
    )

    @property
    def published_manifest(self) -> str:
        """The URL of the release's manifest for this datastore; empty where it is not known."""
        if self.version < _IN_REPOSITORY:
            return ""
        name = "calico-etcd.yaml" if self.datastore == "etcd" else "calico.yaml"
        return f"https://raw.githubusercontent.com/projectcalico/calico/v{self.version}/manifests/{name}"


class BootstrapSettings(Section):
    """How a kubelet proves itself before it has a certificate."""

    mode: Literal["token", "token-file"] = Field(
        "token",
        description="a bootstrap token for each node, or the one of the apiserver's token file",
    )
    ttl_minutes: fields.Minutes = Field(
        15, description="minutes until a token expires, or a request with the token file's is old"
    )
    token: SecretRef | None = Field(
        None, description="where the token of the token file is found, for `mode: token-file`"
    )


class VerifySettings(Section):
    """What `inv verify` and `inv certs` use."""

    image: fields.ImageName = Field(
        "docker.io/library/busybox:1.37.0", description="image of the pods that try the network"
    )
    certificate_days: fields.DaysLeft = Field(
        30, description="days that every certificate must have left"
    )


class TimeoutSettings(Section):
    """Seconds: deadlines for things that are watched."""

    api: fields.Seconds = Field(60, description="for an apiserver that does not answer")
    join: fields.Seconds = Field(120, description="from the kubelet's start to its certificate")
    ready: fields.Seconds = Field(180, description="from the certificate to Ready")
    calico: fields.Seconds = Field(300, description="for Calico to be rolled out")
    probe: fields.Seconds = Field(
        60,
        description="for pods that try the network to start, and again to end; a quarter of it for"
        " a kubelet or a kube-proxy to answer after its start",
    )
    drain: fields.Seconds = Field(600, description="for the pods of a node to leave it")
    reboot: fields.Seconds = Field(600, description="for a host to be back from a reboot")


class MaintenanceSettings(Section):
    """How nodes in use are drained and maintained."""

    batch: fields.Count = Field(
        1, description="nodes worked on at once; the next follow when these are done"
    )
    retry: fields.Seconds = Field(
        5, description="seconds until an eviction that a budget refuses is tried again"
    )
    soak: fields.Pause = Field(
        0, description="seconds that a node has to stay healthy before the next nodes"
    )
    delete_emptydir_data: fields.Flag = Field(
        False, description="whether pods go although what is in their emptyDirs is lost"
    )


class HookSettings(Section):
    """A command of the site's own, before or after a step."""

    before: fields.Text | None = Field(None, description="step that it precedes")
    after: fields.Text | None = Field(None, description="step that it follows")
    where: Literal["host", "deployer"] = Field(
        description="host: there, as root; deployer: on this machine, as the user who deploys"
    )
    run: Annotated[tuple[fields.Text, ...], fields.EmptyList] = Field(
        min_length=1, description="program and arguments; no shell reads them"
    )
    when: Literal["changed", "always"] = Field(
        "changed", description="only where the node changes, or (on the deployer) in every run"
    )
    timeout: fields.Seconds = Field(60, description="seconds after which it is ended, and failed")

    @property
    def step(self) -> str:
        """The step that it goes with."""
        return self.before or self.after or ""

    @property
    def title(self) -> str:
        """What it is, in a line: `hook before kubelet: /usr/local/sbin/x --now`."""
        order = "before" if self.before else "after"
        return f"hook {order} {self.step}: {plain(shlex.join(self.run), 120)}"


class ExtensionSettings(Section):
    """Steps and commands of the site's own; docs/extending.md."""

    steps: Annotated[tuple[fields.LocalPath, ...], fields.EmptyList] = Field(
        (), description="Python files, each with a STEP"
    )
    hooks: Annotated[tuple[HookSettings, ...], fields.EmptyList] = Field(
        (), description="commands before and after steps"
    )


class DeploySettings(Section):
    """How many nodes are worked on at once."""

    max_parallel: fields.Count = Field(30, description="nodes worked on at once")
    batch: fields.Count | None = Field(
        None, description="nodes per batch; the next starts when one is through"
    )
