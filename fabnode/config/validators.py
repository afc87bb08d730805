"""Syntax of names, addresses, labels and references, as predicates on text."""

from __future__ import annotations

import ipaddress
import re

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
"""Effects of taints (k8s.io/api core/v1 TaintEffect)."""

MAX_PORT = 65535
_OPEN_FILES = re.compile(r"([1-9][0-9]{0,9}|infinity)(:([1-9][0-9]{0,9}|infinity))?", re.ASCII)
_MAX_NAME = 253
_MAX_LABEL = 63

# k8s.io/apimachinery pkg/util/validation: DNS-1123 subdomains, and qualified names of labels.
_PART = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_PART}(?:\.{_PART})*")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")

_HOST = r"[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"{_HOST}(?:\.{_HOST})*\.?")
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}", re.ASCII)
_GROUP = re.compile(r"[A-Za-z0-9_](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9_])?")
_CLUSTER = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,251}[A-Za-z0-9])?")
# Directories have names such as DOM\\user and user@dom.example. What OpenSSH refuses is refused.
_USER = re.compile(r"(?!-)[^\s'`\";&<>|(){}]{1,255}(?<!\\)")
_FLAG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
# Nothing that systemd would expand or split in the line of a unit.
_FLAG_VALUE = re.compile(r"[A-Za-z0-9._:/,=@+~<>*\[\](){}|&!?#^-]{0,1000}", re.ASCII)
_SYSCTL = re.compile(r"[a-z0-9_-]+(\.[A-Za-z0-9_/-]+)+", re.ASCII)
_REMOTE_PATH = re.compile(r"(?:/[A-Za-z0-9._+-]+)+")

# github.com/distribution/reference: what an image's name may be.
_DOMAIN = rf"{_HOST}(?:\.{_HOST})*(?::\d{{1,5}})?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_IMAGE = re.compile(
    rf"(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*(?:{_TAG})?(?:@sha256:[0-9a-f]{{64}})?"
)
_REGISTRY = re.compile(rf"{_DOMAIN}(?:/{_COMPONENT})*")
_URL_PATH = re.compile(r"[A-Za-z0-9._~/-]*")
_SUM = re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}")
_RUNTIME_TYPE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+\.v[0-9]+")
_COUNTRY = re.compile(r"[A-Z]{2}")


def is_subdomain(text: str) -> bool:
    """Match a DNS-1123 subdomain: lowercase labels with dots between, at most 253 characters."""
    return len(text) <= _MAX_NAME and _SUBDOMAIN.fullmatch(text) is not None


def is_ipv4(text: str) -> bool:
    """Match an IPv4 address."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def is_ipv6(text: str) -> bool:
    """Match an IPv6 address; not one with an interface (`fe80::1%eth0`), and no IPv4 in IPv6."""
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return not address.scope_id and address.ipv4_mapped is None


def is_address(text: str) -> bool:
    """Match an IPv4 or IPv6 address."""
    return is_ipv4(text) or is_ipv6(text)


def is_scoped(text: str) -> bool:
    """Match a link-local IPv6 address with this machine's interface to it: `fe80::1%eth0`."""
    address, _, interface = text.partition("%")
    return (
        is_ipv6(address)
        and ipaddress.IPv6Address(address).is_link_local
        and _INTERFACE.fullmatch(interface) is not None
    )


def is_host(text: str) -> bool:
    """Match an IPv4 or IPv6 address, or a DNS name (not one of digits and dots only)."""
    if is_address(text) or re.fullmatch(r"[\d.]+", text):
        return is_address(text)
    return len(text) <= _MAX_NAME and _HOSTNAME.fullmatch(text) is not None


def is_label_key(text: str) -> bool:
    """Match a key of a label or taint: a name of at most 63 characters, or `domain/name`."""
    prefix, slash, name = text.rpartition("/")
    return (not slash or is_subdomain(prefix)) and _QUALIFIED.fullmatch(name) is not None


def is_label_value(text: str) -> bool:
    """Match a value of a label or taint: empty, or like a key without a domain."""
    return not text or _QUALIFIED.fullmatch(text) is not None


def is_group_name(text: str) -> bool:
    """Match the name of a group: nothing that `--limit` would take for a glob or a list."""
    return _GROUP.fullmatch(text) is not None


def is_cluster_name(text: str) -> bool:
    """Match the name of a cluster in kubeconfigs."""
    return _CLUSTER.fullmatch(text) is not None


def is_user(text: str) -> bool:
    """Match a login name."""
    return _USER.fullmatch(text) is not None


def is_port(text: str) -> bool:
    """Match a TCP port, in digits."""
    return (
        text.isascii()
        and text.isdigit()
        and len(text) <= len(str(MAX_PORT))
        and 0 < int(text) <= MAX_PORT
    )


def is_remote_path(text: str) -> bool:
    """Match an absolute path without characters that a shell or systemd would interpret."""
    safe = _REMOTE_PATH.fullmatch(text) is not None
    return safe and not {".", ".."} & set(text.split("/"))


_FLEETING = ("dev", "proc", "run", "sys", "tmp", "var/run", "var/tmp")


def is_lasting_folder(text: str) -> bool:
    """Match a path of some depth that neither a boot empties nor the kernel makes."""
    inner = text.strip("/")
    return inner.count("/") > 0 and not any(f"{inner}/".startswith(f"{at}/") for at in _FLEETING)


def is_state_folder(text: str) -> bool:
    """Match a folder by its name: it is closed to all but root, which no system's folder may be."""
    return text.rstrip("/").endswith("/fabnode")


def is_remote_pattern(text: str) -> bool:
    """Match the same with `*` and `?` for what names may have in their place."""
    return is_remote_path(text.translate(str.maketrans("*?@", "xxx")))


def is_flag(text: str) -> bool:
    """Match the name of a flag, without dashes before it."""
    return _FLAG.fullmatch(text) is not None


def is_flag_value(text: str) -> bool:
    """Match what can stand in a unit's line as it is."""
    return _FLAG_VALUE.fullmatch(text) is not None


def is_sysctl(text: str) -> bool:
    """Match the name of a kernel setting with dots, as sysctl(8) prints it."""
    return _SYSCTL.fullmatch(text) is not None


def is_module(text: str) -> bool:
    """Match the name of a kernel module as the kernel has it, with `_` and no `-`."""
    return re.fullmatch(r"[A-Za-z0-9_]{1,63}", text, re.ASCII) is not None


def is_handler(text: str) -> bool:
    """Match the name of a runtime handler: a DNS-1123 label."""
    return re.fullmatch(_PART, text) is not None and len(text) <= _MAX_LABEL


def is_runtime_type(text: str) -> bool:
    """Match the type of a shim of containerd's: `io.containerd.runc.v2`."""
    return _RUNTIME_TYPE.fullmatch(text) is not None


def is_option_name(text: str) -> bool:
    """Match a key that TOML needs no quotes for."""
    return re.fullmatch(r"[A-Za-z0-9_-]+", text) is not None


def is_plain_text(text: str) -> bool:
    """Match printable ASCII."""
    return text.isascii() and text.isprintable()


def is_image(text: str) -> bool:
    """Match a reference to a container image."""
    return _IMAGE.fullmatch(text) is not None


def is_registry_host(text: str) -> bool:
    """Match the host of a registry, in lowercase, optionally with a port."""
    return re.fullmatch(_DOMAIN, text) is not None and text == text.lower()


def is_registry(text: str) -> bool:
    """Match a registry, optionally with a path."""
    return _REGISTRY.fullmatch(text) is not None


def is_country(text: str) -> bool:
    """Match a country of an X.509 name: two capital letters."""
    return _COUNTRY.fullmatch(text) is not None


def is_sum(text: str) -> bool:
    """Match a sha256 or a sha512 in hex."""
    return _SUM.fullmatch(text) is not None


def is_url_path(text: str) -> bool:
    """Match the path of a URL that needs no quoting in shell, systemd units or YAML."""
    return _URL_PATH.fullmatch(text) is not None


def is_open_files(value: str) -> bool:
    """Say whether this is a limit as systemd takes it: `1024:524288`, `65536` or `infinity`."""
    return bool(_OPEN_FILES.fullmatch(value))
