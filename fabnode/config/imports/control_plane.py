"""The apiserver of clusters whose nodes have a balancer of their own to all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..validators import is_address
from . import forms
from .facts import Taken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .facts import Ledger
    from .values import Place

KEY = "cluster.apiserver"


def take_first_apiserver(
    ledger: Ledger, first: tuple[str, Place], addresses: Sequence[str], port: str, *, balancer: str
) -> None:
    """
    Take the first host of the control plane for the apiserver, as one that has to be checked.

    :param first: its name, and where that is defined.
    :param addresses: of all hosts of the control plane, its own first.
    :param balancer: how the tool's own nodes reach all of them, in a clause.
    """
    name, place = first
    doubt = "the first of the control plane, which nodes would depend on"
    several: tuple[str, ...] = ()
    if len(addresses) > 1:
        doubt += f"; {balancer}, and so do"
        doubt += " fabnode's where cluster.apiserver lists all (docs/several-apiservers.md)"
        if all(map(is_address, addresses)):  # in a list, names are refused
            several = tuple(forms.url(each, port) for each in dict.fromkeys(addresses))
    url = forms.url(addresses[0], port)
    ledger.taken.append(Taken(KEY, url, place, name, f"{doubt}.", several))
