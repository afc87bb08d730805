"""Hosts of a table or a document, for a first configuration: the reader of `nodes: [from: …]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..util.problems import ConfigError, InvalidValueError, Problem
from . import host_list, host_ranges, listing
from .list_entries import NodeKeys, entry
from .list_records import NoHostsError, keys_of, records, some
from .schema import schema

if TYPE_CHECKING:
    from .host_list import Host
    from .list_settings import Format

_TAKEN = ("name", "address", "ip")


def parse(content: bytes, name: str, kind: Format) -> list[Host]:
    """
    Return the hosts of a list that has names and addresses alone.

    :param name: the file, for problems.
    :raises ConfigError: it is no such list, or some of it are no hosts.
    """
    found = listing.parse(content, name, kind)
    try:
        hosts = records(found, "")
    except NoHostsError as error:
        problem = Problem(name, found.line(error.path), "", error.message, error.advice)
        raise ConfigError([problem]) from None
    others = [key for key in found.columns or keys_of(hosts) if key not in _TAKEN]
    if others:
        hint = f"keep {some(_TAKEN)}; or have `nodes` read the file itself, as docs/hosts.md shows"
        message = f"has more than names and addresses: {some(others)}"
        raise ConfigError([Problem(name, found.line(()), "", message, hint)])
    known = NodeKeys(schema())
    made: list[Host] = []
    problems: list[Problem] = []
    for host in hosts:
        try:
            own = entry(host, found, None, known).value
            made += [
                host_list.checked(*(each.get(key) for key in _TAKEN))
                for each in host_ranges.entries(own)
            ]
        except host_ranges.RangeError as error:
            line = found.line(host.path)
            problems.append(Problem(name, line, error.key, error.message, error.advice))
        except InvalidValueError as error:
            line = found.line(host.path)
            problems.append(Problem(name, line, "", error.message, error.advice))
    if problems:
        raise ConfigError(problems)
    return made
