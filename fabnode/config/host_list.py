"""Lists of hosts as people have them: one a line, a name and an address or only one of these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ..util.families import families_of, split_values
from ..util.problems import ConfigError, InvalidValueError, Problem, shown
from . import fields, host_ranges
from .validators import is_address, is_ipv6

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..util.families import Family

_NAME: TypeAdapter[str] = TypeAdapter(fields.NodeName)
_ADDRESS: TypeAdapter[str] = TypeAdapter(fields.HostAddress)
_IP: TypeAdapter[str] = TypeAdapter(fields.Addresses)
_FORM = (
    "one host a line: NAME ADDRESS, or only one of them; after both, an address of the other family"
)


@dataclass(frozen=True, slots=True)
class Host:
    """
    A host that is to become a node.

    :param ip: its address where `address` is not it, or two, of each family; None: not known, for
        the reason `why`.
    :param settings: further keys of its entry, such as labels.
    :param doubts: what a person has to check. :param left_out: why its entry is a comment.
    :param seen: addresses that nobody gave, but were looked up or found on it: one of a family.
    :param unseen: why there is none of a family.
    """

    name: str
    address: str
    ip: str | None = None
    why: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    left_out: str = ""
    seen: tuple[str, ...] = ()
    unseen: Mapping[Family, str] = field(default_factory=dict)

    @property
    def needs_ip(self) -> bool:
        """Whether its address alone does not say where its kubelet serves."""
        return not is_address(self.address)


def split(option: str) -> list[tuple[int | None, str]]:
    """Return the hosts of `a,b,c` as `parse` takes them; they have no lines."""
    return [(None, each) for each in option.split(",")]


def numbered(text: str) -> list[tuple[int | None, str]]:
    """Return the lines of a file as `parse` takes them."""
    return list(enumerate(text.removeprefix("\ufeff").split("\n"), 1))


def parse(lines: Iterable[tuple[int | None, str]], source: str) -> list[Host]:
    """
    Return the hosts in their order. Blank lines, and what follows a `#`, are passed over.

    An address alone is the node's name as well; a name alone is where SSH reaches it. A line with
    ranges, `node-[01-40] 192.168.1.[41-80]`, is one for each.

    :param source: the file or option, for problems.
    :raises ConfigError: with all lines that are no host.
    """
    found: list[Host] = []
    problems: list[Problem] = []
    for number, line in words(lines):
        if not line:
            continue
        try:
            found += [checked(*fields_of(each)) for each in host_ranges.lines(line)]
        except InvalidValueError as error:
            problems.append(Problem(source, number, "", error.message, error.advice))
    if problems:
        raise ConfigError(problems)
    return found


def words(lines: Iterable[tuple[int | None, str]]) -> Iterator[tuple[int | None, list[str]]]:
    """Yield the words of each line, without what follows a `#`."""
    for number, line in lines:
        yield number, re.sub(r"(^|\s)#.*", "", line).split()


def fields_of(line: Sequence[str]) -> tuple[str, str, str | None]:
    """
    Return the name, the address and the `ip` that a line's words are; None: it names none.

    Of a host of both families there may be two addresses, by a space or, as in tables, a comma
    apart. Nothing is checked.

    :raises InvalidValueError: there are more words.
    """
    line = [line[0], *(each for word in line[1:] for each in word.split(","))]
    addresses = line[1:]
    if len(line) == 3 and all(map(is_address, addresses)) and len(families_of(addresses)) == 2:
        return line[0], addresses[0], ",".join(addresses)
    if len(line) > 2:
        message = f"{shown(' '.join(line))} is more than a name and an address"
        raise InvalidValueError(message, _FORM)
    name, address = line[0], line[-1]
    if len(line) == 2 and is_address(name) and not is_address(address):
        return address, name, None  # as in /etc/hosts
    return name, address, None


def checked(name: object, address: object, ip: object = None) -> Host:
    """
    Return the host of a name and its addresses.

    :raises InvalidValueError: one of them is none, or missing.
    """
    if name is None or address is None:
        raise InvalidValueError(f"has no {'name' if name is None else 'address'}")
    own_ip = None if ip is None else _valid(_IP, ip)
    if name == address and isinstance(name, str) and is_ipv6(name):
        hint = f"write one before it, as in node-1 {name}"
        raise InvalidValueError(f"{shown(name)}: an IPv6 address is no name of a node", hint)
    return Host(_valid(_NAME, name), _valid(_ADDRESS, address), own_ip)


def refuse_twins(hosts: Iterable[Host]) -> None:
    """
    Refuse hosts that share a name or an address.

    :raises ConfigError: it names them.
    """
    problems = []
    seen: dict[str, Host] = {}
    for host in hosts:
        for word in dict.fromkeys(
            (host.name, host.address, *split_values(host.ip or ""), *host.seen)
        ):
            other = seen.setdefault(word.lower().rstrip("."), host)
            if other is not host:
                message = f"two hosts have {word}: {other.name} and {host.name}"
                problems.append(Problem("", None, "", message))
    if problems:
        raise ConfigError(problems)


def _valid(adapter: TypeAdapter[str], word: object) -> str:
    """Return a valid word. Raises InvalidValueError."""
    try:
        return adapter.validate_python(word)
    except ValidationError as error:
        why = error.errors()[0].get("ctx", {}).get("error")
        message = why.message if isinstance(why, InvalidValueError) else "is no name or address"
        advice = why.advice if isinstance(why, InvalidValueError) else ""
        raise InvalidValueError(f"{shown(word)}: {message}", advice) from None
