"""Which addresses a first configuration gives a host: of each family that Services have. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..util.families import (
    families_of,
    first_of_family,
    join_family_names,
    split_values,
)
from .validators import is_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..util.families import Family
    from .host_list import Host

EXAMPLES: dict[Family, str] = {4: "192.168.1.42", 6: "fd00:1::42"}


@dataclass(frozen=True, slots=True)
class HostAddresses:
    """
    What a host's `ip` is to be.

    :param ip: one address, or one of each family; empty: `address` alone says it, or nobody knows.
    :param lacking: families of which no address is known. :param why: why; empty: none is lacking.
    :param left_out: why an address that was given is not taken; empty: all are.
    """

    ip: str
    lacking: tuple[Family, ...] = ()
    why: str = ""
    left_out: str = ""


def host_addresses(host: Host, families: Sequence[Family]) -> HostAddresses:
    """
    Return the addresses of a host.

    Those that were given come first and keep their order: the kubelet serves on the first.

    :param families: of Services, in their order; empty: nobody knows them.
    """
    given = split_values(host.ip or (host.address if is_address(host.address) else ""))
    wanted = tuple(families) or families_of(given or host.seen[:1])
    taken = [each for each in given if families_of([each])[0] in wanted]
    have = families_of(taken)
    taken += filter(None, (first_of_family(host.seen, f) for f in wanted if f not in have))
    lacking = tuple(each for each in wanted if each not in families_of(taken))
    left_out = ""
    if extra := [each for each in given if each not in taken]:
        left_out = (
            f"{', '.join(extra)} is left out of ip, for Services are of"
            f" {join_family_names(wanted)} alone."
        )
    if lacking or not taken:
        return HostAddresses("", lacking, _why(host, taken, lacking), left_out)
    ip = ",".join(taken)
    return HostAddresses("" if ip == host.address else ip, left_out=left_out)


def _why(host: Host, taken: Sequence[str], lacking: Sequence[Family]) -> str:
    named = join_family_names(lacking)
    why = next(filter(None, map(host.unseen.get, lacking)), host.why)
    if not taken:
        return why or f"no {f'{named} ' if named else ''}address of it is known."
    why = why or f"no {named} address of it is known."
    whole = ",".join((*taken, *(EXAMPLES[each] for each in lacking)))
    both = join_family_names((*families_of(taken), *lacking))
    return f"Services have {both}, and {why} Write both, as {whole}"
