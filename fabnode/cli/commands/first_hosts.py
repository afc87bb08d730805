"""Hosts that options and lists of `inv config.init` and `inv config.import` name."""

from __future__ import annotations

import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from ...config import host_list, listed_hosts
from ...config.list_settings import FORMATS
from ...config.validators import is_address, is_host
from ...util.errors import InputError
from ...util.families import FAMILY_NAMES, family_of
from ...util.typed_paths import typed_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...config.host_list import Host

_MOST_BYTES = 2**20
_LOOKUPS = 16  # names looked up at once


def named_hosts(hosts: str, hosts_file: str) -> list[Host]:
    """
    Return the hosts of both options, with addresses.

    :raises InputError: a line is no host, or two have one name or address.
    """
    named = with_addresses([*_of_option(hosts), *_of_file(hosts_file)])
    host_list.refuse_twins(named)
    return named


def _of_option(hosts: str) -> list[Host]:
    return host_list.parse(host_list.split(hosts), "--hosts")


def _of_file(name: str) -> list[Host]:
    """Return the hosts of a file, `-` for standard input. Raises InputError."""
    if not name:
        return []
    source = "standard input" if name == "-" else name
    try:
        if name == "-":
            content = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with typed_path(name, "--hosts-file").open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise InputError(f"--hosts-file {source} is larger than 1 MiB: no list of hosts")
        kind = FORMATS.get(Path(name).suffix.lower(), "text")
        if kind != "text":
            return listed_hosts.parse(content, source, kind)
        return host_list.parse(host_list.numbered(content.decode()), source)
    except OSError as error:
        raise InputError(f"--hosts-file {source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--hosts-file {source}: it is no text in UTF-8") from error


def with_addresses(hosts: Sequence[Host]) -> list[Host]:
    """Return the hosts with the addresses that this machine knows of names."""
    if not any(map(_is_to_be_looked_up, hosts)):
        return list(hosts)
    with ThreadPoolExecutor(_LOOKUPS) as pool:
        return list(pool.map(_looked_up, hosts))


def _is_to_be_looked_up(host: Host) -> bool:
    return is_host(host.address) and host.needs_ip and not host.ip and not host.left_out


def _looked_up(host: Host) -> Host:
    if not _is_to_be_looked_up(host):
        return host
    try:
        entries = socket.getaddrinfo(host.address, None, socket.AF_UNSPEC, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        entries = []
    found = sorted({str(address[0]) for *_, address in entries if is_address(str(address[0]))})
    seen, unseen = [], {}
    for family, name in FAMILY_NAMES.items():
        own = [each for each in found if family_of(each) == family and not _is_link_local(each)]
        if len(own) > 1:
            unseen[family] = f"{host.address} has {len(own)} addresses."
        elif not own:
            unseen[family] = f"this machine knows no {name} address of {host.address}."
        elif ip_address(own[0]).is_loopback:
            unseen[family] = f"{host.address} is this machine itself, by {own[0]}."
        else:
            seen += own
    return replace(host, seen=tuple(seen), unseen=unseen, why="" if seen else unseen[4])


def _is_link_local(address: str) -> bool:
    return family_of(address) == 6 and ip_address(address).is_link_local
