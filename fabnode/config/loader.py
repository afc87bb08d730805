"""Loader: a configuration file to a validated Config, or a ConfigError with all its problems."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from ..util.families import split_values
from ..util.image_reference import ImageReference
from ..util.problems import ConfigError, KeyPath, Problem
from . import address_families, cross_checks, file_checks, host_ranges
from .configuration import Config, Group, Node, Taint
from .list_content import Outputs
from .node_parts import is_list
from .overrides import merge_section
from .pydantic_errors import explain
from .schema import FileShape, GroupEntry, NodeEntry
from .sections import (
    BootstrapSettings,
    CalicoSettings,
    ClusterSettings,
    HostSettings,
    ImageSettings,
    KubeletSettings,
    KubeProxySettings,
    RuntimeSettings,
    Section,
    SshSettings,
)
from .yaml_document import Document, parse, read

S = TypeVar("S", bound=Section)


def load(
    path: Path,
    *,
    artifacts: bool = False,
    kubeconfig: Path | None = None,
    access: bool = True,
    outputs: Outputs | None = None,
) -> Config:
    """
    Load and validate a configuration file.

    :param artifacts: whether the files that only a deployment needs must exist as well.
    :param kubeconfig: replaces cluster.kubeconfig; it is then the only one of this machine's
        secrets that must be readable.
    :param outputs: of commands that list nodes; None: they are run.
    :param access: whether what gives access to cluster and hosts must be there: the CA, credentials
        and keys. Without it `ca_pem` is empty.
    :raises ConfigError: with all problems that can be found in one pass.
    """
    loading = _Loader(read_spread(path, outputs), path, kubeconfig, access=access)
    return loading.cluster(artifacts=artifacts)


def read_spread(path: Path, outputs: Outputs | None = None) -> Document:
    """
    Read a configuration file with one entry for each node, as `load` does.

    :raises ConfigError: where it, or a list of nodes that it names, can't be had or parsed.
    """
    document = read(path)
    nodes = document.value.get("nodes")
    if isinstance(nodes, list) and any(map(is_list, nodes)):
        # What reads lists in all their formats is loaded: not where there are none.
        from . import node_lists

        document = node_lists.expand(document, outputs or Outputs())
    return host_ranges.spread(document)


def problems_of(text: str) -> list[Problem]:
    """Return what is wrong with a configuration, none of whose files has to be there."""
    path = Path("configuration")
    try:
        document = host_ranges.spread(parse(text.encode(), str(path)))
        _Loader(document, path, None, access=False).cluster(artifacts=False)
    except ConfigError as error:
        return error.problems
    return []


def missing_artifacts(config: Config) -> list[Problem]:
    """
    Return what `load` with `artifacts` would have refused, of a configuration loaded without.

    :raises ConfigError: the file can't be read any more.
    """
    violations = list(file_checks.artifacts(config.artifacts, config.calico))
    if not violations:
        return []
    document = read(config.source)  # for the lines, which a configuration no longer holds
    return ConfigError(document.problem(*violation) for violation in violations).problems


class _Loader:
    def __init__(
        self, document: Document, path: Path, kubeconfig: Path | None, *, access: bool
    ) -> None:
        self.document = document
        self.access = access
        self.api_only = kubeconfig is not None or not access
        cluster = document.value.get("cluster")
        if kubeconfig and isinstance(cluster, dict):
            cluster["kubeconfig"] = str(kubeconfig.absolute())
        self.source = path
        self.context = {"base": path.absolute().parent}
        self.problems: list[Problem] = list(document.problems)
        self.shape: FileShape | None = None
        # Nodes of one group share their settings: 100 nodes, a handful of objects.
        self._sections: dict[tuple[str, tuple[str, ...]], Section | None] = {}

    def cluster(self, *, artifacts: bool) -> Config:
        shape = self.shape = self._shape()
        settings = self._valid_section(ClusterSettings, ("cluster",))
        calico = self._valid_section(CalicoSettings, ("calico",))
        bootstrap = self._valid_section(BootstrapSettings, ("bootstrap",))
        groups, entries = self._groups(), self._nodes()
        nodes = {index: self._node(index, entry, groups) for index, entry in entries.items()}
        self._add_all(cross_checks.names(entries, self._group_names()))
        ca_pem = self._ca(settings)
        if settings:
            self._add_all(cross_checks.networks(settings))
            self._add_all(cross_checks.addresses(settings, entries))
            self._add_all(address_families.cluster(settings))
            self._add_all(address_families.nodes(settings, entries))
            self._add_all(cross_checks.releases(settings))
            if self.access:
                self._add_all(file_checks.needed(settings))
        if settings and calico:
            self._add_all(cross_checks.calico(settings, calico))
            self._add_all(address_families.calico(settings, calico))
        if bootstrap:
            self._add_all(cross_checks.bootstrap(bootstrap))
            if not self.api_only:
                self._add_all(file_checks.bootstrap(bootstrap))
        for index, node in nodes.items():
            if node and settings:
                files = () if self.api_only else file_checks.needed_by(node)
                families = address_families.node(settings, node)
                found = chain(cross_checks.node_settings(settings, node), families, files)
                for path, message, hint in found:
                    self._add_problem(self._source_of(index, node.groups, path), message, hint)
        if shape:
            self._add_all(file_checks.fetching(shape.artifacts))
            self._add_all(file_checks.extensions(shape.extensions))
            self._add_all(cross_checks.extensions(shape.extensions))
            self._add_all(cross_checks.artifacts(shape.artifacts))
        if shape and settings:
            ready = [node for node in nodes.values() if node]
            self._add_all(cross_checks.registries(shape.images, settings, ready))
        cas = self._registry_cas(shape.images) if shape else {}
        if shape and artifacts:
            self._add_all(file_checks.artifacts(shape.artifacts, shape.calico))
        if self.problems or not shape:
            raise ConfigError(self.problems)
        made = Config(
            source=self.source,
            ca_pem=ca_pem,
            cluster=shape.cluster,
            ssh=shape.ssh,
            artifacts=shape.artifacts,
            runtime=shape.runtime,
            images=shape.images,
            kubelet=shape.kubelet,
            kube_proxy=shape.kube_proxy,
            calico=shape.calico,
            bootstrap=shape.bootstrap,
            verify=shape.verify,
            timeouts=shape.timeouts,
            deploy=shape.deploy,
            maintenance=shape.maintenance,
            extensions=shape.extensions,
            paths=shape.paths,
            groups={name: Group(name, group.max_parallel) for name, group in shape.groups.items()},
            nodes=tuple(node for node in nodes.values() if node),
            registry_cas=cas,
        )
        return _with_registry(made) if made.images.registry else made

    def _shape(self) -> FileShape | None:
        try:
            return FileShape.model_validate(self.document.value, context=self.context)
        except ValidationError as error:
            for one in error.errors(include_url=False):
                if violation := explain(one, FileShape, self.document.texts):
                    self._add_problem(*violation)
            return None

    def _valid_section(self, model: type[S], path: KeyPath) -> S | None:
        """
        Return a part of the file if it is valid by itself; `_shape` reports its faults.

        Of a file without faults, its parts are good and at hand.
        """
        if self.shape and isinstance(found := getattr(self.shape, str(path[0]), None), model):
            return found
        return self._validated(model, self.document.get(path))

    def _validated(self, model: type[S], value: object) -> S | None:
        try:
            return model.model_validate(value, context=self.context)
        except ValidationError:
            return None

    def _groups(self) -> dict[str, GroupEntry]:
        if self.shape:
            return self.shape.groups
        found = (
            (name, self._valid_section(GroupEntry, ("groups", name)))
            for name in self._group_names()
        )
        return {name: group for name, group in found if group}

    def _group_names(self) -> list[str]:
        groups = self.document.get(("groups",))
        return list(groups) if isinstance(groups, dict) else []

    def _nodes(self) -> dict[int, NodeEntry]:
        if self.shape:
            return dict(enumerate(self.shape.nodes))
        nodes = self.document.get(("nodes",))
        indexes = range(len(nodes)) if isinstance(nodes, list) else ()
        found = ((index, self._valid_section(NodeEntry, ("nodes", index))) for index in indexes)
        return {index: node for index, node in found if node}

    def _ca(self, settings: ClusterSettings | None) -> bytes:
        if settings and self.access:
            try:
                return file_checks.read_ca(settings.ca)
            except file_checks.NotACertificateError as error:
                self._add_problem(("cluster", "ca"), str(error), "")
        return b""

    def _registry_cas(self, images: ImageSettings) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for name, registry in images.registries.items():
            try:
                if registry.ca:
                    found[name] = file_checks.read_ca(registry.ca)
            except file_checks.NotACertificateError as error:
                self._add_problem(("images", "registries", name, "ca"), str(error), "")
        return found

    def _node(self, index: int, entry: NodeEntry, groups: dict[str, GroupEntry]) -> Node | None:
        ssh = self._section(SshSettings, "ssh", index, entry)
        host = self._section(HostSettings, "host", index, entry)
        runtime = self._section(RuntimeSettings, "runtime", index, entry)
        kubelet = self._section(KubeletSettings, "kubelet", index, entry)
        kube_proxy = self._section(KubeProxySettings, "kube_proxy", index, entry)
        if not (ssh and host and runtime and kubelet and kube_proxy):
            return None
        layers = [*(groups[name] for name in entry.groups if name in groups), entry]
        labels: dict[str, str] = {}
        annotations: dict[str, str] = {}
        taints: dict[tuple[str, str], Taint] = {}  # unique by key and effect, as in Kubernetes
        for layer in layers:
            labels |= layer.labels
            annotations |= layer.annotations
            taints |= {(t.key, t.effect): t for t in map(Taint.parse, layer.taints)}
        ip, second_ip = (*split_values(entry.ip or entry.address), "")[:2]
        return Node(
            name=entry.name,
            address=entry.address,
            ip=ip,
            groups=entry.groups,
            labels=labels,
            annotations=annotations,
            taints=tuple(taints.values()),
            ssh=ssh,
            host=host,
            runtime=runtime,
            kubelet=kubelet,
            kube_proxy=kube_proxy,
            second_ip=second_ip,
        )

    def _section(self, model: type[S], name: str, index: int, entry: NodeEntry) -> S | None:
        own = self.document.get(("nodes", index, name))
        key = (name, entry.groups)
        if own is None and key in self._sections:
            shared = self._sections[key]
            return shared if isinstance(shared, model) else None
        paths: list[KeyPath] = [("groups", group, name) for group in entry.groups]
        overrides = [*map(self.document.get, paths), own]
        if any(overrides):
            layers = [self.document.get((name,)), *overrides]
            made = self._validated(model, merge_section(model, layers))
        else:
            made = self._valid_section(model, (name,))
        if own is None:
            self._sections[key] = made
        return made

    def _source_of(self, index: int, groups: tuple[str, ...], path: KeyPath) -> KeyPath:
        """Return the key path a node's setting comes from: of the node, a group or the section."""
        owners: list[KeyPath] = [("nodes", index), *(("groups", name) for name in reversed(groups))]
        candidates = ((*owner, *path) for owner in owners)
        return next((found for found in candidates if found in self.document.lines), path)

    def _add_all(self, violations: cross_checks.Violations) -> None:
        for path, message, hint in violations:
            self._add_problem(path, message, hint)

    def _add_problem(self, path: KeyPath, message: str, hint: str) -> None:
        self.problems.append(self.document.problem(path, message, hint))


def _with_registry(config: Config) -> Config:
    """Return the cluster with the sandbox's and the test pods' images from `images.registry`."""
    registry = config.images.registry or ""
    nodes = []
    for node in config.nodes:
        sandbox = str(ImageReference.parse(node.runtime.sandbox_image).at(registry))
        runtime = node.runtime.model_copy(update={"sandbox_image": sandbox})
        nodes.append(replace(node, runtime=runtime))
    probe = {"image": str(ImageReference.parse(config.verify.image).at(registry))}
    return replace(config, nodes=tuple(nodes), verify=config.verify.model_copy(update=probe))
