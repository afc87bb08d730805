"""
A first configuration, made of what was found out about a cluster: facts to text.

What is not known is a comment that says why, and its key commented out: `inv config.check` then
names that key. Whatever the facts are, the text has no other problem. They come from a cluster, so
none of them may end a comment, or a value, early.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ..releases import compatibility
from ..releases.matrix import matrix
from ..releases.version import Release
from ..util.families import families_of, split_values
from ..util.problems import InvalidValueError, plain
from ..util.sanitize import clean
from . import address_families, cross_checks, fields
from .apiservers import Apiservers
from .host_addresses import HostAddresses, host_addresses
from .sections import ClusterSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..util.families import Family
    from .host_list import Host

REQUIRED = ("version", "apiserver", "ca", "service_cidr", "pod_cidr", "dns_address")
"""Keys of `cluster` that a cluster is asked for, in the order they are written in."""
OPTIONAL = ("name", "dns_domain")
"""Those that have a default, and are written where they are known."""

FACT_TYPES: Mapping[str, TypeAdapter[Any]] = {
    "version": TypeAdapter(fields.ReleaseField),
    "apiserver": TypeAdapter(Apiservers),
    "ca": TypeAdapter(fields.Text),
    "service_cidr": TypeAdapter(fields.Networks),
    "pod_cidr": TypeAdapter(fields.Networks),
    "dns_address": TypeAdapter(fields.Addresses),
    "dns_domain": TypeAdapter(fields.Domain),
    "name": TypeAdapter(fields.ClusterName),
}
"""What a value of each of these keys may be."""
_WIDTH = 100
_LONGEST = 400  # characters of a comment
_MOST_NODES = 50
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9._/:-]*[A-Za-z0-9]|\d+(\.\d+){2,3}(/\d+)?", re.ASCII)
_WORDS = {"null", "true", "false", "yes", "no", "on", "off"}  # plain, these are no text
# Of these fabnode's own tests run a release; of others only the line is known.
_PROVED_CALICO = (Release(3, 28, 5), Release(3, 32, 1))
_MANIFEST = "artifacts/calico.yaml"


@dataclass(frozen=True, slots=True)
class Known:
    """
    A setting that was found out, and where. `doubtful`: a person has to check it.

    :param instead: another value that may be meant, written as a comment; None: there is none.
    :param why_instead: when that is.
    """

    value: Any
    source: str
    doubtful: bool = False
    instead: Any = None
    why_instead: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """A setting that was not found out, and why."""

    why: str


Fact = Known | Missing


@dataclass(frozen=True, slots=True)
class ExistingNode:
    """A node that the cluster has already; taints as `key=value:Effect`."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offered:
    """A manifest of Calico's that is there. `release`: its own; empty where it does not tell."""

    manifest: str
    release: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """
    The pod network that a cluster has.

    :param other: what it is, where fabnode does not manage it; empty: none was seen.
    :param calico: the release of the Calico that fabnode has installed there; empty: none.
    :param unseen: why it could not be determined; empty: it was.
    :param offered: the manifest to install it from; None: the usual one, which may not be there.
    """

    other: str = ""
    calico: str = ""
    unseen: str = ""
    offered: Offered | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """
    What was found out about a cluster.

    :param cluster: by key of `cluster`; those of REQUIRED that are not in it are missing.
    :param kubeconfig: its path, as the file will name it, or why there is none.
    :param origin: what the file is made from, to complete a sentence.
    :param nodes: those there already, or why nobody knows.
    :param own_kube_proxy: whether the cluster runs kube-proxy by a DaemonSet of its own.
    :param settings: of other sections, by dotted key such as `kubelet.max_pods`; valid ones.
    :param remarks: what has to be checked that is about no key.
    """

    kubeconfig: str | Missing
    origin: str
    cluster: Mapping[str, Fact]
    network: Network
    nodes: tuple[ExistingNode, ...] | Missing = ()
    own_kube_proxy: bool = False
    settings: Mapping[str, Fact] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def judged(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    """Return what a configuration takes of the facts: one that it would refuse is missing."""
    found = {key: facts.get(key, Missing("nobody has looked")) for key in REQUIRED}
    found |= {key: facts[key] for key in OPTIONAL if key in facts}
    found = {key: _valid(key, fact) for key, fact in found.items()}
    while violation := _contradiction(found):
        key, why = violation
        found[key] = Missing(why)
    return found


def service_families(service_cidr: Fact) -> tuple[Family, ...]:
    """Return the families of Services, in their order; none where these are not known."""
    if isinstance(service_cidr, Missing):
        return ()
    try:
        whole: str = FACT_TYPES["service_cidr"].validate_python(service_cidr.value)
    except ValidationError:
        return ()
    return families_of(split_values(whole))


def write(findings: Findings, hosts: Iterable[Host], *, command: str, example: str) -> str:
    """
    Return the configuration's text.

    :param command: that writes it. :param example: the one that prints all keys.
    """
    facts = judged(findings.cluster)
    sections = _sections(findings.settings)
    parts = (
        _head(findings, command, example),
        _cluster(findings, facts),
        _runtime(facts["version"], sections.pop("runtime", {})),
        _calico(findings.network, facts["version"], service_families(facts["service_cidr"])),
        _kube_proxy(sections.pop("kube_proxy", {}), own=findings.own_kube_proxy),
        _ssh(sections.pop("ssh", {})),
        *(_section(name, settings) for name, settings in sections.items()),
        _remarks(findings.remarks),
        _nodes(hosts, service_families(facts["service_cidr"])),
        _existing(findings.nodes),
    )
    return "\n".join("".join(f"{line}\n" for line in part) for part in map(list, parts) if part)


def _sections(settings: Mapping[str, Fact]) -> dict[str, dict[str, Fact]]:
    """Return settings of dotted keys by their sections."""
    found: dict[str, dict[str, Fact]] = {}
    for key, fact in settings.items():
        name, _, rest = key.partition(".")
        found.setdefault(name, {})[rest] = fact
    return found


def _valid(key: str, fact: Fact) -> Fact:
    if isinstance(fact, Missing):
        return fact
    try:
        value = FACT_TYPES[key].validate_python(fact.value)
    except ValidationError as error:
        cause = error.errors()[0].get("ctx", {}).get("error")
        why = cause.message if isinstance(cause, InvalidValueError) else "can't be used"
        return Missing(f"{fact.source} has {fact.value!r}, but it {why}")
    if key == "version" and (misfit := compatibility.kubernetes(value)):
        return Missing(f"{misfit.why}; {misfit.nearest}")
    return fact


def cluster_of(facts: Mapping[str, Fact]) -> ClusterSettings | None:
    """
    Return the section `cluster` for checks, which want a whole one; None: a network is not known.

    What else is not known is in it what agrees with anything.

    :param facts: of `judged`.
    """
    known = {key: fact.value for key, fact in facts.items() if isinstance(fact, Known)}
    fill = {"version": "1.36.0", "apiserver": "https://api.invalid", "ca": "x", "kubeconfig": "x"}
    if not {"service_cidr", "pod_cidr", "dns_address"} <= known.keys():
        return None
    return ClusterSettings.model_validate({**fill, **known})


def _contradiction(facts: Mapping[str, Fact]) -> tuple[str, str] | None:
    """Return a key whose value contradicts another's, and how; None where all agree."""
    settings = cluster_of(facts)
    if settings is None:
        return None
    for path, message, _ in (*cross_checks.networks(settings), *address_families.cluster(settings)):
        # What was guessed gives way: it is the one that is wrong, if not the only one that may be.
        those = [str(path[1]), *(key for key in ("service_cidr", "pod_cidr") if key in message)]
        found = {key: fact for key in those if isinstance(fact := facts[key], Known)}
        wrong = next((key for key in found if found[key].doubtful), those[0])
        if wrong in found:
            return wrong, f"{found[wrong].value} was found, but {message}"
    return None


def _head(findings: Findings, command: str, example: str) -> Iterator[str]:
    yield from _comment(
        f"A configuration of fabnode, begun by `{command}` from {findings.origin}. Keys that are"
        f" not here have defaults, which `{example}` explains."
        " Paths are relative to this file."
    )


def _cluster(findings: Findings, facts: Mapping[str, Fact]) -> Iterator[str]:
    yield "cluster:"
    for key, fact in facts.items():
        yield from _setting(key, fact)
        if key == "ca":
            if isinstance(findings.kubeconfig, Missing):
                yield from _setting("kubeconfig", findings.kubeconfig)
            else:
                yield f"  kubeconfig: {_scalar(findings.kubeconfig)}"


def _section(name: str, settings: Mapping[str, Fact]) -> Iterator[str]:
    if not any(isinstance(fact, Known) for fact in settings.values()):
        for key, fact in settings.items():  # a section without a key would be null
            yield from _setting(f"{name}.{key}", fact, "")
        return
    yield f"{name}:"
    for key, fact in settings.items():
        yield from _setting(key, fact)


def _setting(key: str, fact: Fact, indent: str = "  ") -> Iterator[str]:
    if isinstance(fact, Missing):
        yield from _comment(f"{key} is not known: {fact.why}", indent)
        yield f"{indent}# {key}:"
        return
    doubt = "To be checked: " if fact.doubtful else ""
    yield from _comment(f"{doubt}{fact.source}", indent)
    yield f"{indent}{key}: {_inline(fact.value)}"
    if fact.instead is not None:
        yield from _comment(fact.why_instead, indent)
        yield f"{indent}# {key}: {_inline(fact.instead)}"


def _runtime(version: Fact, settings: Mapping[str, Fact]) -> Iterator[str]:
    if settings:
        yield from _section("runtime", settings)
        return
    if isinstance(version, Missing):
        return
    minor = Release.parse(version.value).minor
    if misfit := compatibility.runtime(minor, "containerd"):
        yield from _comment(f"{misfit.why}; docker is to be on the hosts.")
        yield "runtime: {name: docker}"
        return
    newest = matrix().containerd[compatibility.best_containerd(minor)].newest
    yield from _comment(f"Of the newest line of containerd that fits Kubernetes 1.{minor}.")
    yield f"runtime: {{name: containerd, version: {newest}}}"


def _calico(network: Network, version: Fact, families: Sequence[Family]) -> Iterator[str]:
    minor = Release.parse(version.value).minor if isinstance(version, Known) else None
    if network.other:
        yield from _comment(
            f"The cluster has a pod network that fabnode does not manage: {network.other}."
        )
        yield "calico: none"
        return
    if network.unseen:
        yield from _comment(
            "To be checked: whether the cluster has a pod network already, which then wants"
            f" `calico: none`: {network.unseen}"
        )
    offered = network.offered or Offered(_MANIFEST)
    there = _release(offered.release)
    if installed := _release(network.calico):
        yield from _comment("The release that fabnode has installed here.")
        if there and there != installed:
            text = f"To be checked: {offered.manifest} is of {there}; name the one of {installed}."
            yield from _comment(text)
        yield from _named_calico(installed, minor, offered.manifest, families)
    elif minor is None:
        yield from _comment("calico.version is not known: it depends on cluster.version.")
        yield "# calico: {version: }"
    elif there and not (misfit := _unable(there, minor, families)):
        yield from _comment("The release of that manifest.")
        yield from _named_calico(there, minor, offered.manifest, families)
    else:
        if there and misfit:
            text = f"To be checked: {offered.manifest}: {misfit.why}; put the one below there."
            yield from _comment(text)
        yield from _fitting_calico(minor, offered.manifest, families)


def _unable(
    release: Release, minor: int, families: Sequence[Family]
) -> compatibility.Misfit | None:
    """Return why a release can't be that of these nodes and families, tested there or not."""
    return compatibility.calico(release, minor, allow_untested=True) or (
        compatibility.calico_vxlan_ipv6(release) if 6 in families else None
    )


def _named_calico(
    release: Release, minor: int | None, manifest: str, families: Sequence[Family]
) -> Iterator[str]:
    misfit = minor is not None and compatibility.calico(release, minor)
    if misfit:
        yield from _comment(f"To be checked: calico.version: {misfit.why}; {misfit.nearest}.")
    values: dict[str, Any] = {"version": str(release), "manifest": manifest}
    values |= {"allow_untested": True} if misfit else {}
    yield from _calico_line(values, release, families)


def _calico_line(
    values: Mapping[str, Any], release: Release, families: Sequence[Family]
) -> Iterator[str]:
    """Yield the section, without tunnels where these carry no IPv6."""
    more: dict[str, Any] = {}
    if 6 in families and (misfit := compatibility.calico_vxlan_ipv6(release)):
        yield from _comment(
            f"To be checked: {misfit.why}, so pods' packets go as they are: nodes are in one"
            " network, or their routers have the routes of pods."
        )
        more = {"backend": "bird", "encapsulation": "Never"}
    yield f"calico: {_inline({**values, **more})}"


def _fitting_calico(minor: int, manifest: str, families: Sequence[Family]) -> Iterator[str]:
    line = compatibility.calico_for(minor)
    proved = [r for r in _PROVED_CALICO if not compatibility.calico(r, minor)]
    if proved:
        release = str(proved[-1])
        yield from _comment(f"A release of a line that its makers tested with 1.{minor}.")
    elif line:
        release = f"{line}.0"
        yield from _comment(
            f"To be checked: its makers tested Calico {line} with Kubernetes 1.{minor}; name the"
            " newest release of that line."
        )
    else:
        yield from _comment(
            f"calico.version is not known: its makers tested none with Kubernetes 1.{minor};"
            " calico.allow_untested takes another."
        )
        yield "# calico: {version: }"
        return
    values = {"version": release, "manifest": manifest}
    yield from _calico_line(values, Release.parse(release), families)


def _release(text: str) -> Release | None:
    try:
        return Release.parse(text)
    except ValueError:
        return None


def _kube_proxy(settings: Mapping[str, Fact], *, own: bool) -> Iterator[str]:
    switch = settings.get("enabled")
    if isinstance(switch, Known) and switch.value is False:
        yield from _comment(switch.source)
        yield "kube_proxy: none"
        return
    if settings:
        yield from _section("kube_proxy", settings)
    if own:
        yield from _comment(
            "To be checked: the cluster runs kube-proxy by the DaemonSet kube-system/kube-proxy,"
            " and fabnode by a unit; two on one node would undo each other's rules. Have the"
            " DaemonSet leave these nodes out (a nodeSelector), or leave kube-proxy to it by this"
            f" line{', in place of those above' if settings else ''}:"
        )
        yield "# kube_proxy: none"


def _ssh(settings: Mapping[str, Fact]) -> Iterator[str]:
    if settings:
        yield from _section("ssh", settings)
    else:
        yield "# ssh: {user: ops, sudo_password: {prompt: true}}   # left out: root"


def _remarks(remarks: Iterable[str]) -> Iterator[str]:
    for remark in remarks:
        yield from _comment(f"To be checked: {remark}")


def _nodes(hosts: Iterable[Host], families: Sequence[Family]) -> Iterator[str]:
    rows = list(hosts)
    if all(host.left_out for host in rows):
        why = "none is left" if rows else "no hosts were named (--hosts, --hosts-file)."
        yield from _comment(f"nodes are not known: {why}")
        yield "# nodes:"
    else:
        yield "nodes:"
    for host in rows:
        for doubt in host.doubts:
            yield from _comment(f"To be checked: {doubt}", "  ")
        if host.left_out:
            yield from _comment(f"Left out: {host.left_out}", "  ")
        found = host_addresses(host, families)
        if found.left_out:
            yield from _comment(f"To be checked: {found.left_out}", "  ")
        lines = _node(host, found)
        yield from (f"  # {line[2:]}" if host.left_out else line for line in lines)


def _node(host: Host, found: HostAddresses) -> Iterator[str]:
    keys: dict[str, Any] = {"name": host.name, "address": host.address}
    if found.ip:
        keys["ip"] = found.ip
    keys |= {key: value for key, value in host.settings.items() if value}
    if not found.why:
        line = f"  - {_inline(keys)}"
        if len(line) <= _WIDTH:
            yield line
            return
    lines = [f"{key}: {_inline(value)}" for key, value in keys.items()]
    yield f"  - {lines[0]}"
    yield from (f"    {line}" for line in lines[1:])
    if found.why:
        yield from _comment(f"ip is not known: {found.why}", "    ")
        yield "    # ip:"


def _existing(nodes: tuple[ExistingNode, ...] | Missing) -> Iterator[str]:
    if isinstance(nodes, Missing):
        yield from _comment(f"Which nodes the cluster has already is not known: {nodes.why}")
    elif nodes:
        yield from _comment("Nodes that the cluster has already; none of them is taken over here:")
    for node in () if isinstance(nodes, Missing) else nodes[:_MOST_NODES]:
        labels = ", ".join(f"{key}={value}" for key, value in sorted(node.labels.items()))
        text = node.name
        text += f": labels {labels}" if labels else ""
        text += f"; taints {', '.join(node.taints)}" if node.taints else ""
        yield from _comment(f"- {text}", hanging="  ")
    if not isinstance(nodes, Missing) and len(nodes) > _MOST_NODES:
        yield from _comment(f"- and {len(nodes) - _MOST_NODES} more")


def _comment(text: str, indent: str = "", *, hanging: str = "") -> list[str]:
    """Return a text as lines of comments: nothing in it can end one of them early."""
    safe = plain(clean(text), _LONGEST)
    width = _WIDTH - len(indent) - 2
    lines = textwrap.wrap(
        safe, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )
    return [f"{indent}# {line}" for line in lines]


def _inline(value: Any) -> str:
    """Return a value in one line of YAML."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            digits, e, exponent = str(value).partition("e")  # a number to YAML only with a dot
            return f"{digits}.0e{exponent}" if e and "." not in digits else str(value)
        case Mapping():
            inside = (f"{_scalar(str(key), key=True)}: {_inline(v)}" for key, v in value.items())
            return f"{{{', '.join(inside)}}}"
        case list() | tuple():
            return f"[{', '.join(map(_inline, value))}]"
    return _scalar(str(value))


def _scalar(text: str, *, key: bool = False) -> str:
    """Return a text as YAML, quoted where it would be anything else without."""
    plainly = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    if plainly and not (key and ":" in text):
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if " " <= char <= "~":
        return char
    number = ord(char)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def local(path: Path, folder: Path) -> str:
    """Return a path as a file in `folder` names it: relative where it lies there or below."""
    whole, base = path.absolute(), folder.absolute()
    return str(whole.relative_to(base) if whole.is_relative_to(base) else whole)
