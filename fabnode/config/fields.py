"""Types of single settings (addresses, names, URLs, releases, paths) with their syntax checks."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationInfo,
    WithJsonSchema,
)

from ..releases.version import Release
from ..util import families
from ..util.digests import is_sha256
from ..util.errors import InputError
from ..util.own_names import NODE_OPERATION, NODE_RECORD, NODE_SEAL
from ..util.problems import InvalidValueError, either, nearest, plain
from ..util.typed_paths import typed_path
from . import address_hints, validators

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

_MAX_TEXT = 1024
_MAX_NODE_NAME = 63
_BY_HOST = ("os", "arch")
_MAX_ANNOTATION = 64 * 1024  # the API takes 256 KiB of all annotations of an object together
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz")  # which Python's tarfile reads
# kubernetes pkg/kubelet/kubelet_node_status.go updateDefaultLabels
_LABELS_OF_KUBELET = {
    f"{domain}/{name}" for domain in ("kubernetes.io", "beta.kubernetes.io") for name in _BY_HOST
} | {"kubernetes.io/hostname"}
# kubernetes pkg/controller/nodelifecycle: taints that follow a node's conditions
_CONDITIONS = {
    "not-ready",
    "unreachable",
    "network-unavailable",
    "memory-pressure",
    "disk-pressure",
    "pid-pressure",
}
_TAINTS_OF_KUBERNETES = {
    **dict.fromkeys(
        (f"node.kubernetes.io/{name}" for name in _CONDITIONS), "choose a key of your own"
    ),
    "node.kubernetes.io/unschedulable": "to keep pods away for a while, `kubectl cordon NODE`",
    "node.cloudprovider.kubernetes.io/uninitialized": "set `kubelet.cloud_provider: external`",
}
_FAMILIES = 2
_BRACKETED = re.compile(r"\[([^]]+)\](?:(:)([0-9]+))?", re.ASCII)
_MAX_SUBJECT = 64  # RFC 5280, upper bounds of the parts of a name


def _archives(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """Replace each folder and pattern by its archives, sorted; one without any stays as it is."""
    return tuple(dict.fromkeys(file for path in paths for file in _found(path) or [path]))


def _found(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            return sorted(file for file in path.iterdir() if file.name.endswith(_ARCHIVES))
        if path.exists() or not path.parent.is_dir():
            return []
        matches = fnmatch.filter((file.name for file in path.parent.iterdir()), path.name)
    except OSError as error:
        raise InvalidValueError(f"{path} can't be read: {error.strerror}") from error
    return sorted(path.parent / name for name in matches if not name.startswith("."))


def _text(value: str) -> str:
    if not value.isprintable():
        raise InvalidValueError("must be text without control characters")
    if value != value.strip() or not value:
        raise InvalidValueError("must be text that is not empty and has no blanks around it")
    if len(value) > _MAX_TEXT:
        raise InvalidValueError(f"must have at most {_MAX_TEXT} characters")
    return value


class _Matching(AfterValidator):
    """A validator whose JSON Schema says what it expects, for which JSON Schema has no word."""

    def __init__(self, func: Callable[[str], str], expected: str) -> None:
        super().__init__(func)
        object.__setattr__(self, "expected", expected)

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(core), "$comment": self.expected}  # type: ignore[attr-defined]


def _matching(test: Callable[[str], bool], expected: str) -> AfterValidator:
    """Return a validator that accepts what `test` accepts; `expected` completes "must be …"."""

    def check(value: str) -> str:
        if not test(value):
            raise InvalidValueError(f"must be {expected}")
        return value

    return _Matching(check, expected)


def _node_name(value: str) -> str:
    if not validators.is_subdomain(value):
        expected = "must be a DNS-1123 name: lowercase letters, digits, - and ."
        lower = value.lower().replace("_", "-")
        raise InvalidValueError(
            expected, f"for example {lower}" if validators.is_subdomain(lower) else ""
        )
    if len(value) > _MAX_NODE_NAME:
        # Kubernetes allows 253, but the kubelet makes a label's value of it and can't register.
        raise InvalidValueError(
            "must have at most 63 characters: it becomes the label kubernetes.io/hostname"
        )
    return value


def _host_address(value: str) -> str:
    if validators.is_scoped(value):
        return value
    if not validators.is_host(value):
        expected = "must be an IPv4 or IPv6 address, or a host name"
        raise InvalidValueError(expected, address_hints.host_hint(value))
    if validators.is_ipv6(value) and ipaddress.IPv6Address(value).is_link_local:
        raise InvalidValueError(
            "needs the interface of this machine by which it is reached",
            f"write it after a percent sign: {value}%eth0",
        )
    return str(ipaddress.IPv6Address(value)) if validators.is_ipv6(value) else value


def _network(value: str) -> str:
    expected = "must be a network such as 10.68.0.0/16 or fd00:10:68::/108"
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise InvalidValueError(expected) from None
    length = value.partition("/")[2]
    if length != str(network.prefixlen) or not _begins(value, network):
        raise InvalidValueError(expected, f"did you mean {network}?" if "/" in value else "")
    return str(network)


def _begins(value: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """Return whether a network is written with its first address; in which form of it, is free."""
    return ipaddress.ip_address(value.partition("/")[0]) == network.network_address


def _address(value: str) -> str:
    if not validators.is_address(value):
        fault = "must be an IPv4 or IPv6 address"
        raise InvalidValueError(fault, address_hints.address_hint(value))
    return str(ipaddress.ip_address(value))


_ONE_OF_EACH = "give one of IPv4 and one of IPv6, or one alone"


class _OfEachFamily(BeforeValidator):
    """
    A validator of a value, or of one of each family, in a list or with a comma between.

    What it makes of two is `a,b`, as flags of Kubernetes have them.
    """

    def __init__(self, check: Callable[[str], str]) -> None:
        def both(value: object) -> object:
            if isinstance(value, str):
                found = [part.strip() for part in value.split(",")]
                if len(found) > 1 and not all(found):
                    hint = "write one value, or two with a comma between"
                    raise InvalidValueError("has nothing on one side of a comma", hint)
            elif isinstance(value, list | tuple):
                found = list(value)
                if others := [one for one in found if not isinstance(one, str)]:
                    hint = f'put each in quotes, as in "{plain(str(others[0]))}"'
                    raise InvalidValueError("has a value that is no text", hint)
            else:
                return value  # pydantic reports what is wrong with it
            if not 1 <= len(found) <= _FAMILIES:
                message = "must be one value, or two: one of IPv4 and one of IPv6"
                raise InvalidValueError(message, _ONE_OF_EACH)
            made = [check(_text(one)) for one in found]
            if len(families.families_of(made)) < len(made):
                name = families.FAMILY_NAMES[families.family_of(made[0])]
                raise InvalidValueError(f"has two values of {name}", _ONE_OF_EACH)
            return ",".join(made)

        super().__init__(both)


_ONE_OR_TWO = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
        ]
    }
)


def _apiserver(value: str) -> str:
    expected = "must be an https URL without a path, such as https://10.0.0.1:6443"
    if not _is_apiserver(value):
        raise InvalidValueError(expected, _apiserver_hint(value))
    return value.rstrip("/")


def _is_apiserver(value: str) -> bool:
    try:
        url = urlsplit(value)
        good = url.scheme == "https" and not url.path.strip("/") and url.port != 0
    except ValueError:  # of a port that is none, too
        return False
    return good and _is_bare(url)


def _apiserver_hint(value: str) -> str:
    """Return what may be meant; empty: nothing is near."""
    if value.count("://") > 1:
        return "several are a list: [https://…, https://…]"
    address = re.sub(r"^[a-z]*://", "", value).rstrip("/")
    host, _, port = address.rpartition(":")
    if validators.is_ipv6(host) and len(port) > 3 and validators.is_port(port):
        meant = f"https://[{host}]:{port}"
    elif validators.is_ipv6(address):
        meant = f"https://[{address}]:6443"
    elif re.search(r":\d+$", address):
        meant = f"https://{address}"
    else:
        meant = f"https://{address}:6443"
    if meant == value or not _is_apiserver(meant):
        return ""
    six = "" if address.startswith("[") or ":" not in host else "an IPv6 address stands in brackets"
    return f"{six or 'write'}{':' if six else ''} {meant}"


def _etcd_endpoint(value: str) -> str:
    expected = "must be an https URL with host and port, such as https://10.0.0.1:2379"
    url = _url(value, expected)
    if url.scheme == "http":
        # Whoever can write there decides who may reach which pod.
        raise InvalidValueError(
            expected, "without TLS anyone on the network could rewrite its policies"
        )
    if url.scheme != "https" or url.path.strip("/") or not url.port or not _is_bare(url):
        raise InvalidValueError(expected)
    return value.rstrip("/")


def _base_url(value: str) -> str:
    expected = "must be a URL such as https://mirror.example.org/kubernetes"
    url = _url(value, expected)
    if url.scheme not in {"http", "https"} or url.port == 0 or not _is_bare(url):
        raise InvalidValueError(expected)
    if not validators.is_url_path(url.path):
        raise InvalidValueError(expected, "with a path of letters, digits and -._~/ only")
    return value.rstrip("/")


def _url(value: str, expected: str) -> SplitResult:
    """Split a URL; its port, if any, is valid."""
    try:
        url = urlsplit(value)
        _ = url.port  # which raises where it is none
    except ValueError:
        raise InvalidValueError(expected) from None
    return url


def _is_bare(url: SplitResult) -> bool:
    """Return whether a URL has no user, query or fragment."""
    more = url.query or url.fragment or "@" in url.netloc
    return not more and validators.is_host(url.hostname or "")


def _is_gateway(value: str) -> bool:
    user, at, place = value.rpartition("@")
    host, colon, port = place.partition(":")
    if bracketed := _BRACKETED.fullmatch(place):
        host, colon, port = bracketed.groups(default="")
    good_user = not at or validators.is_user(user)
    known = validators.is_host(host) or validators.is_scoped(host)
    return good_user and known and (not colon or validators.is_port(port))


def _local_path(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str | Path):
        return value  # pydantic reports what is wrong with it
    try:
        path = typed_path(_text(str(value)))
    except InputError:
        raise InvalidValueError(
            "must be a path, and no user of this machine has that home directory"
        ) from None
    base = (info.context or {}).get("base")
    return base / path if base else path


def _manifest(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str) or "://" not in value:
        return _local_path(value, info)
    expected = "must be a file or an https URL"
    try:
        url = urlsplit(_text(value))
        host = url.hostname or ""
    except ValueError:
        raise InvalidValueError(expected) from None
    if url.scheme != "https" or not validators.is_host(host) or "@" in url.netloc:
        raise InvalidValueError(expected)
    return value


def _release(value: object) -> object:
    expected = "must be a release such as 1.37.2"
    if isinstance(value, float):  # 1.37 without quotes is a number in YAML
        raise InvalidValueError(expected, "all three parts are needed")
    if isinstance(value, str):
        try:
            return Release.parse(value)
        except ValueError:
            raise InvalidValueError(expected) from None
    if not isinstance(value, Release):
        raise InvalidValueError(expected)
    return value


def _autodetection(value: str) -> str:
    # Calico's documentation of IP_AUTODETECTION_METHOD.
    alone = ("first-found", "kubernetes-internal-ip")
    with_value = ("can-reach", "interface", "skip-interface", "cidr")
    kind, equals, rest = value.partition("=")
    if (kind in alone and not equals) or (kind in with_value and rest):
        return value
    ways = (*alone, *(f"{way}=…" for way in with_value))
    raise InvalidValueError(f"must be {either(ways)}", nearest(kind, alone + with_value))


def _not_reserved(value: str) -> str:
    if value in (NODE_RECORD, NODE_SEAL, NODE_OPERATION):
        raise InvalidValueError("must be another key: fabnode stores its own record under this one")
    return value


def _not_the_kubelets(value: str) -> str:
    if value in _LABELS_OF_KUBELET:
        raise InvalidValueError(
            "must be another key: the kubelet sets this one, and would set it back",
            "choose a key of your own",
        )
    return value


def _taint(value: str) -> str:
    pair, colon, effect = value.rpartition(":")
    key, _, content = pair.partition("=")
    if not colon or not validators.is_label_key(key) or not validators.is_label_value(content):
        raise InvalidValueError("must be a taint such as dedicated=batch:NoSchedule")
    if effect not in validators.EFFECTS:
        expected = f"must be one of the effects {either(validators.EFFECTS)}"
        raise InvalidValueError(expected, nearest(effect, validators.EFFECTS))
    if fix := _TAINTS_OF_KUBERNETES.get(key):
        raise InvalidValueError("must have another key: Kubernetes removes such a taint again", fix)
    return value


def _option(value: object) -> object:
    # What TOML has as JSON writes it.
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, bool | int) and not (
            isinstance(each, str) and validators.is_plain_text(each)
        ):
            expected = "must be true, false, a whole number, plain text (ASCII), or a list of these"
            raise InvalidValueError(expected)
    return value


def _own_organization(value: str) -> str:
    # The API takes O for a group: system:masters would make kube-proxy an administrator, and so
    # would kubeadm:cluster-admins. Components grant rights to groups with a colon.
    if ":" in value:
        raise InvalidValueError(
            "must be a name without a colon: groups with one are granted rights"
        )
    return value


Text = Annotated[StrictStr, AfterValidator(_text)]
Flag = StrictBool
Count = Annotated[StrictInt, Field(ge=1, le=1_000_000)]
Days = Annotated[StrictInt, Field(ge=1, le=36_500)]
DaysLeft = Annotated[StrictInt, Field(ge=0, le=36_500)]
# Approved requests stay in the API for an hour, and show which tokens were used.
Minutes = Annotated[StrictInt, Field(ge=1, le=60)]
# RFC 791 wants 576 of every host; of what hosts have, IP over InfiniBand takes most, 65520.
Mtu = Annotated[StrictInt, Field(ge=576, le=65_520)]
Seconds = Annotated[StrictInt, Field(ge=1, le=86_400)]
Pause = Annotated[StrictInt, Field(ge=0, le=86_400)]  # seconds too; 0: none
Port = Annotated[StrictInt, Field(ge=1, le=validators.MAX_PORT)]

_NAME = "of letters, digits, - _ and ."
ClusterName = Annotated[Text, _matching(validators.is_cluster_name, f"a name {_NAME}")]
GroupName = Annotated[Text, _matching(validators.is_group_name, f"a name {_NAME} (at most 63)")]
NodeName = Annotated[Text, AfterValidator(_node_name)]
HostAddress = Annotated[Text, AfterValidator(_host_address)]
Address = Annotated[Text, AfterValidator(_address)]
Addresses = Annotated[Text, _OfEachFamily(_address), _ONE_OR_TWO]
"""An address, or one of each family: `a,b` in the order given."""

Networks = Annotated[Text, _OfEachFamily(_network), _ONE_OR_TWO]
"""A network, or one of each family: `a,b` in the order given."""

Domain = Annotated[Text, _matching(validators.is_subdomain, "a DNS domain such as cluster.local")]
ApiserverUrl = Annotated[Text, AfterValidator(_apiserver)]
EtcdEndpoint = Annotated[Text, AfterValidator(_etcd_endpoint)]
Gateway = Annotated[
    Text,
    _matching(_is_gateway, "[user@]host[:port] of a jump host, with an IPv6 address in brackets"),
]
User = Annotated[Text, _matching(validators.is_user, "a login name")]
RemotePath = Annotated[
    Text,
    _matching(
        validators.is_remote_path, "an absolute path on the node, of letters, digits and ._+-"
    ),
]
RemoteFolder = Annotated[
    RemotePath,
    _matching(
        validators.is_lasting_folder,
        "a folder on the node that is still there after a boot (not below /run, /tmp or the like)",
    ),
]
StateFolder = Annotated[
    RemoteFolder,
    _matching(
        validators.is_state_folder, "a folder of fabnode's own, so named: /data/fabnode for example"
    ),
]
RemotePattern = Annotated[
    Text,
    _matching(
        validators.is_remote_pattern, "an absolute path on the node, which may have * and ? in it"
    ),
]
FlagName = Annotated[
    Text, _matching(validators.is_flag, "the name of a flag, without the dashes before it")
]
FlagValue = Annotated[
    StrictStr,
    BeforeValidator(lambda value: str(value).lower() if isinstance(value, bool | int) else value),
    _matching(validators.is_flag_value, "a value without blanks, quotes, $, % or backslashes"),
    WithJsonSchema({"type": ["string", "integer", "boolean"]}),
]
ModuleName = Annotated[
    Text, _matching(validators.is_module, "the name of a kernel module, such as nvme_tcp")
]
SysctlKey = Annotated[
    Text, _matching(validators.is_sysctl, "the name of a kernel setting, such as vm.max_map_count")
]
SysctlValue = Annotated[
    Text,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    WithJsonSchema({"type": ["string", "integer"]}),
]
OpenFiles = Annotated[
    Text,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    _matching(validators.is_open_files, "a number, SOFT:HARD or infinity"),
    WithJsonSchema({"type": ["string", "integer"]}),
]
ImageName = Annotated[
    Text, _matching(validators.is_image, "an image such as registry.k8s.io/pause:3.10.1")
]
Registry = Annotated[
    Text, _matching(validators.is_registry, "a registry such as registry.example.org")
]
RegistryHost = Annotated[
    Text,
    _matching(validators.is_registry_host, "a registry's host such as registry.example.org:5000"),
]
HandlerName = Annotated[
    Text, _matching(validators.is_handler, "a name of lowercase letters, digits and - (at most 63)")
]
RuntimeType = Annotated[
    Text, _matching(validators.is_runtime_type, "a shim such as io.containerd.runc.v2")
]
OptionName = Annotated[
    Text, _matching(validators.is_option_name, "a name of letters, digits, - and _")
]
Option = Annotated[JsonValue, AfterValidator(_option)]
PlainText = Annotated[Text, _matching(validators.is_plain_text, "plain text (ASCII)")]
Sha256 = Annotated[Text, _matching(is_sha256, "64 hexadecimal digits in lowercase")]
Sum = Annotated[
    Text, _matching(validators.is_sum, "a sha256 or sha512 in lowercase hexadecimal digits")
]
BaseUrl = Annotated[Text, AfterValidator(_base_url)]
Autodetection = Annotated[Text, AfterValidator(_autodetection)]
_LABEL = "letters, digits and -_. inside (at most 63)"
LabelKey = Annotated[
    StrictStr,
    _matching(validators.is_label_key, f"a label key: {_LABEL}, optionally after domain/"),
    AfterValidator(_not_reserved),
]
NodeLabelKey = Annotated[LabelKey, AfterValidator(_not_the_kubelets)]
LabelValue = Annotated[StrictStr, _matching(validators.is_label_value, f"a label value: {_LABEL}")]
AnnotationValue = Annotated[
    StrictStr, _matching(lambda value: len(value) <= _MAX_ANNOTATION, "at most 64 KiB of text")
]
TaintText = Annotated[Text, AfterValidator(_taint)]
SubjectName = Annotated[
    Text, _matching(lambda value: len(value) <= _MAX_SUBJECT, "text of at most 64 characters")
]
Organization = Annotated[SubjectName, AfterValidator(_own_organization)]
Country = Annotated[Text, _matching(validators.is_country, "two capital letters, such as CN")]

EmptyList = BeforeValidator(lambda value: () if value is None else value)
"""For lists: a key with only comments below it is null in YAML, and means empty."""

EmptyMapping = BeforeValidator(lambda value: {} if value is None else value)
"""The same for mappings."""

_AS_TEXT = WithJsonSchema({"type": "string"})

LocalPath = Annotated[Path, BeforeValidator(_local_path), _AS_TEXT]
"""A path on this machine: `~` expanded, relative to the configuration file."""

LocalArchives = Annotated[tuple[LocalPath, ...], EmptyList, AfterValidator(_archives)]
"""Files on this machine, as LocalPaths; a folder or a shell pattern stands for archives there."""

Manifest = Annotated[Path | str, BeforeValidator(_manifest), _AS_TEXT]
"""A LocalPath, or a text: an https URL."""

ReleaseField = Annotated[
    Release,
    BeforeValidator(_release),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^v?\d+\.\d+\.\d+$"}),
]
