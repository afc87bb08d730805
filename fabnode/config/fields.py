"""The kinds of values that settings are made of, with the syntax each must have."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationInfo,
    WithJsonSchema,
)

from ..releases.version import Release
from ..util.problems import Wrong, either, nearest
from . import validators

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_TEXT = 1024
_MAX_NODE_NAME = 63
_MAX_ANNOTATION = 64 * 1024  # the API takes 256 KiB of all annotations of an object together
_MAX_SUBJECT = 64  # RFC 5280, upper bounds of the parts of a name


def _text(value: str) -> str:
    if not value.isprintable():
        raise Wrong("wants text without control characters")
    if value != value.strip() or not value:
        raise Wrong("wants text that is not empty and has no blanks around it")
    if len(value) > _MAX_TEXT:
        raise Wrong(f"wants at most {_MAX_TEXT} characters")
    return value


def _being(test: Callable[[str], bool], wants: str) -> AfterValidator:
    """Return a validator that lets pass what `test` tells."""

    def check(value: str) -> str:
        if not test(value):
            raise Wrong(f"wants {wants}")
        return value

    return AfterValidator(check)


def _node_name(value: str) -> str:
    if not validators.is_subdomain(value):
        wants = "wants a DNS-1123 name: lowercase letters, digits, - and ."
        lower = value.lower().replace("_", "-")
        raise Wrong(wants, f"for example {lower}" if validators.is_subdomain(lower) else "")
    if len(value) > _MAX_NODE_NAME:
        # Kubernetes allows 253, but the kubelet makes a label's value of it and can't register.
        raise Wrong("wants at most 63 characters: it becomes the label kubernetes.io/hostname")
    return value


def _network(value: str) -> str:
    wants = "wants an IPv4 network such as 10.68.0.0/16"
    try:
        network = ipaddress.IPv4Network(value, strict=False)
    except ValueError:
        raise Wrong(wants) from None
    if str(network) != value:
        raise Wrong(wants, f"did you mean {network}?" if "/" in value else "")
    return value


def _apiserver(value: str) -> str:
    wants = "wants an https URL without a path, such as https://10.0.0.1:6443"
    url = _url(value, wants)
    if url.scheme != "https" or url.path.strip("/") or url.port == 0 or not _only_names(url):
        raise Wrong(wants)
    return value.rstrip("/")


def _etcd_endpoint(value: str) -> str:
    wants = "wants an https URL with host and port, such as https://10.0.0.1:2379"
    url = _url(value, wants)
    if url.scheme == "http":
        # Whoever can write there decides who may reach which pod.
        raise Wrong(wants, "without TLS anybody on the network could rewrite its policies")
    if url.scheme != "https" or url.path.strip("/") or not url.port or not _only_names(url):
        raise Wrong(wants)
    return value.rstrip("/")


def _base_url(value: str) -> str:
    wants = "wants a URL such as https://mirror.example.org/kubernetes"
    url = _url(value, wants)
    if url.scheme not in {"http", "https"} or url.port == 0 or not _only_names(url):
        raise Wrong(wants)
    if not validators.is_url_path(url.path):
        raise Wrong(wants, "with a path of letters, digits and -._~/ only")
    return value.rstrip("/")


def _url(value: str, wants: str) -> SplitResult:
    """Return a URL in its parts, whose port is a number if there is one."""
    try:
        url = urlsplit(value)
        _ = url.port  # which raises where it is none
    except ValueError:
        raise Wrong(wants) from None
    return url


def _only_names(url: SplitResult) -> bool:
    """Say whether a URL names a place and nothing more: no user, no question."""
    more = url.query or url.fragment or "@" in url.netloc
    return not more and validators.is_host(url.hostname or "")


def _is_gateway(value: str) -> bool:
    user, at, place = value.rpartition("@")
    host, colon, port = place.partition(":")
    good_user = not at or validators.is_user(user)
    return good_user and validators.is_host(host) and (not colon or validators.is_port(port))


def _local_path(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str | Path):
        return value  # pydantic says what is wrong with it
    path = Path(_text(str(value)))
    try:
        path = path.expanduser()
    except RuntimeError:
        raise Wrong("wants a path, and whose home this is is not known here") from None
    base = (info.context or {}).get("base")
    return base / path if base else path


def _manifest(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str) or "://" not in value:
        return _local_path(value, info)
    wants = "wants a file or an https URL"
    try:
        url = urlsplit(_text(value))
        host = url.hostname or ""
    except ValueError:
        raise Wrong(wants) from None
    if url.scheme != "https" or not validators.is_host(host) or "@" in url.netloc:
        raise Wrong(wants)
    return value


def _release(value: object) -> object:
    wants = "wants a release such as 1.37.2"
    if isinstance(value, float):  # 1.37 without quotes is a number in YAML
        raise Wrong(wants, "all three parts are needed")
    if isinstance(value, str):
        try:
            return Release.parse(value)
        except ValueError:
            raise Wrong(wants) from None
    if not isinstance(value, Release):
        raise Wrong(wants)
    return value


def _autodetection(value: str) -> str:
    # Calico's documentation of IP_AUTODETECTION_METHOD.
    alone = ("first-found", "kubernetes-internal-ip")
    with_value = ("can-reach", "interface", "skip-interface", "cidr")
    kind, equals, rest = value.partition("=")
    if (kind in alone and not equals) or (kind in with_value and rest):
        return value
    ways = (*alone, *(f"{way}=…" for way in with_value))
    raise Wrong(f"wants {either(ways)}", nearest(kind, alone + with_value))


def _not_ours(value: str) -> str:
    if value in (validators.NODE_RECORD, validators.NODE_SEAL):
        raise Wrong("wants another key: fabnode keeps its own record under this one")
    return value


def _taint(value: str) -> str:
    pair, colon, effect = value.rpartition(":")
    key, _, content = pair.partition("=")
    if not colon or not validators.is_label_key(key) or not validators.is_label_value(content):
        raise Wrong("wants a taint such as dedicated=batch:NoSchedule")
    if effect not in validators.EFFECTS:
        wants = f"wants one of the effects {either(validators.EFFECTS)}"
        raise Wrong(wants, nearest(effect, validators.EFFECTS))
    return value


def _own_organization(value: str) -> str:
    # The API takes O for a group: system:masters would make kube-proxy an administrator, and so
    # would kubeadm:cluster-admins. Groups with a colon are somebody's who gives rights by them.
    if ":" in value:
        raise Wrong("wants a name of your own without a colon: such groups give rights")
    return value


Text = Annotated[StrictStr, AfterValidator(_text)]
Flag = StrictBool
Count = Annotated[StrictInt, Field(ge=1, le=1_000_000)]
Days = Annotated[StrictInt, Field(ge=1, le=36_500)]
DaysLeft = Annotated[StrictInt, Field(ge=0, le=36_500)]
# Approved requests stay at the API for an hour, and by them it is known which tokens were used.
Minutes = Annotated[StrictInt, Field(ge=1, le=60)]
Seconds = Annotated[StrictInt, Field(ge=1, le=86_400)]
Port = Annotated[StrictInt, Field(ge=1, le=validators.MAX_PORT)]

_NAME = "of letters, digits, - _ and ."
ClusterName = Annotated[Text, _being(validators.is_cluster_name, f"a name {_NAME}")]
GroupName = Annotated[Text, _being(validators.is_group_name, f"a name {_NAME} (at most 63)")]
NodeName = Annotated[Text, AfterValidator(_node_name)]
HostAddress = Annotated[Text, _being(validators.is_host, "an IPv4 address or a host name")]
Address = Annotated[Text, _being(validators.is_address, "an IPv4 address")]
Network = Annotated[Text, AfterValidator(_network)]
Domain = Annotated[Text, _being(validators.is_subdomain, "a DNS domain such as cluster.local")]
ApiserverUrl = Annotated[Text, AfterValidator(_apiserver)]
EtcdEndpoint = Annotated[Text, AfterValidator(_etcd_endpoint)]
Gateway = Annotated[Text, _being(_is_gateway, "[user@]host[:port] of a jump host")]
User = Annotated[Text, _being(validators.is_user, "a login name")]
RemotePath = Annotated[
    Text,
    _being(validators.is_remote_path, "an absolute path on the node, of letters, digits and ._+-"),
]
ImageName = Annotated[
    Text, _being(validators.is_image, "an image such as registry.k8s.io/pause:3.10.1")
]
Registry = Annotated[
    Text, _being(validators.is_registry, "a registry such as registry.example.org")
]
RegistryHost = Annotated[
    Text, _being(validators.is_registry_host, "a registry's host such as registry.example.org:5000")
]
Sha256 = Annotated[Text, _being(validators.is_sha256, "64 hexadecimal digits in lowercase")]
Sum = Annotated[
    Text, _being(validators.is_sum, "a sha256 or sha512 in lowercase hexadecimal digits")
]
BaseUrl = Annotated[Text, AfterValidator(_base_url)]
Autodetection = Annotated[Text, AfterValidator(_autodetection)]
_LABEL = "letters, digits and -_. inside (at most 63)"
LabelKey = Annotated[
    StrictStr,
    _being(validators.is_label_key, f"a label key: {_LABEL}, maybe after domain/"),
    AfterValidator(_not_ours),
]
LabelValue = Annotated[StrictStr, _being(validators.is_label_value, f"a label value: {_LABEL}")]
AnnotationValue = Annotated[
    StrictStr, _being(lambda value: len(value) <= _MAX_ANNOTATION, "at most 64 KiB of text")
]
TaintText = Annotated[Text, AfterValidator(_taint)]
SubjectName = Annotated[
    Text, _being(lambda value: len(value) <= _MAX_SUBJECT, "at most 64 characters")
]
Organization = Annotated[SubjectName, AfterValidator(_own_organization)]
Country = Annotated[Text, _being(validators.is_country, "two capital letters, such as CN")]

EmptyList = BeforeValidator(lambda value: () if value is None else value)
"""For lists: a key with nothing but comments below it is null in YAML, and meant as empty."""

EmptyMapping = BeforeValidator(lambda value: {} if value is None else value)
"""The same for mappings."""

_AS_TEXT = WithJsonSchema({"type": "string"})

LocalPath = Annotated[Path, BeforeValidator(_local_path), _AS_TEXT]
"""A path on this machine: `~` expanded, relative to the configuration file."""

Manifest = Annotated[Path | str, BeforeValidator(_manifest), _AS_TEXT]
"""A LocalPath, or a text: an https URL."""

ReleaseField = Annotated[
    Release,
    BeforeValidator(_release),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^v?\d+\.\d+\.\d+$"}),
]
