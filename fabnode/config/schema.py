"""
The shape of the configuration file, where groups and nodes override parts of sections.

An override has the keys of its section, each optional. It is validated in place; `overrides.py`
merges them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, create_model

from . import fields
from .list_settings import ListSource
from .sections import (
    ArtifactSettings,
    BootstrapSettings,
    CalicoSettings,
    ClusterSettings,
    DeploySettings,
    ExtensionSettings,
    HostSettings,
    ImageSettings,
    KubeletSettings,
    KubeProxySettings,
    MaintenanceSettings,
    PathSettings,
    RuntimeSettings,
    Section,
    SshSettings,
    Switchable,
    TimeoutSettings,
    VerifySettings,
    section,
)

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


@cache
def overrides(model: type[Section]) -> type[Section]:
    """Return a model with the fields of `model`, all optional, without its checks across fields."""
    optional: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        kind: Any = info.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            kind = overrides(kind)
        if info.metadata:
            kind = Annotated[(kind, *info.metadata)]
        # A factory, because a plain default would appear in the JSON Schema.
        unset = Field(
            default_factory=lambda: None, validate_default=False, description=info.description
        )
        optional[name] = (kind, unset)
    base = Switchable if issubclass(model, Switchable) else Section
    made = create_model(f"{model.__name__}Overrides", __base__=base, **optional)
    made.__doc__ = model.__doc__
    return made


class _OverridesOf:
    """Annotation of a field that holds overrides of a section."""

    def __init__(self, model: type[Section]) -> None:
        self.model = model

    def overrides(self) -> type[Section]:
        """Return the model that validates these overrides."""
        return overrides(self.model)

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return handler.generate_schema(self.overrides())


OVERRIDDEN: dict[str, type[Section]] = {
    "ssh": SshSettings,
    "host": HostSettings,
    "runtime": RuntimeSettings,
    "kubelet": KubeletSettings,
    "kube_proxy": KubeProxySettings,
}
"""Sections that groups and nodes may override."""


class _Overriding(Section):
    labels: Annotated[dict[fields.NodeLabelKey, fields.LabelValue], fields.EmptyMapping] = Field(
        {}, description="labels of the Node object"
    )
    annotations: Annotated[dict[fields.LabelKey, fields.AnnotationValue], fields.EmptyMapping] = (
        Field({}, description="annotations of the Node object")
    )
    taints: Annotated[tuple[fields.TaintText, ...], fields.EmptyList] = Field(
        (), description="taints, key=value:Effect, added to those of the groups"
    )
    ssh: Annotated[Section | None, _OverridesOf(SshSettings)] = None
    host: Annotated[Section | None, _OverridesOf(HostSettings)] = None
    runtime: Annotated[Section | None, _OverridesOf(RuntimeSettings)] = None
    kubelet: Annotated[Section | None, _OverridesOf(KubeletSettings)] = None
    kube_proxy: Annotated[Section | None, _OverridesOf(KubeProxySettings)] = None


class GroupEntry(_Overriding):
    """Defaults for the members of a group."""

    max_parallel: fields.Count | None = Field(None, description="members worked on at once")


Groups = Annotated[tuple[fields.GroupName, ...], fields.EmptyList]


class NodeEntry(_Overriding):
    """A node, and the settings that differ for it."""

    name: fields.NodeName = Field(description="name of the Node object; may be an IPv4 address")
    address: fields.HostAddress = Field(
        description="IPv4 or IPv6 address, or host name, to reach the node by"
    )
    ip: fields.Addresses | None = Field(
        None,
        description="address of its kubelet, or two, of IPv4 and IPv6, of which it serves on the"
        " first; default: address, if that is one",
    )
    groups: Groups = Field((), description="groups it belongs to, in order")


class NodeList(_Overriding):
    """Nodes that a list elsewhere names, and what holds for each of them unless it says other."""

    source: ListSource = Field(
        alias="from",
        description="list of hosts in place of a node: a file, or {command: [PROGRAM, …]};"
        " what stands beside it holds for each of them",
    )
    groups: Groups = Field((), description="groups of those for which the list names none")


class FileShape(Section):
    """Configuration of fabnode, with an entry for each node."""

    cluster: ClusterSettings
    ssh: SshSettings = section(SshSettings)
    artifacts: ArtifactSettings = section(ArtifactSettings)
    paths: PathSettings = section(PathSettings)
    host: HostSettings = section(HostSettings)
    runtime: RuntimeSettings = section(RuntimeSettings)
    images: ImageSettings = section(ImageSettings)
    kubelet: KubeletSettings = section(KubeletSettings)
    kube_proxy: KubeProxySettings = section(KubeProxySettings)
    calico: CalicoSettings = section(CalicoSettings)
    bootstrap: BootstrapSettings = section(BootstrapSettings)
    verify: VerifySettings = section(VerifySettings)
    timeouts: TimeoutSettings = section(TimeoutSettings)
    deploy: DeploySettings = section(DeploySettings)
    maintenance: MaintenanceSettings = section(MaintenanceSettings)
    extensions: ExtensionSettings = section(ExtensionSettings)
    groups: Annotated[dict[fields.GroupName, GroupEntry], fields.EmptyMapping] = Field(
        {}, description="defaults for their members"
    )
    nodes: Annotated[tuple[NodeEntry, ...], fields.EmptyList] = Field(
        min_length=1, description="the nodes"
    )


class _Written(FileShape):
    """Configuration of fabnode."""

    nodes: Annotated[tuple[NodeEntry | NodeList, ...], fields.EmptyList] = Field(  # type: ignore[assignment]  # before lists are read
        min_length=1, description="the nodes"
    )


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the configuration file, for editors."""
    made = _Written.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "fabnode"}
