"""The apiserver of clusters whose nodes have a balancer of their own to all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .facts import Taken

if TYPE_CHECKING:
    from .facts import Ledger
    from .values import Place

KEY = "cluster.apiserver"


def take_first_apiserver(
    ledger: Ledger, first: tuple[str, Place], url: str, *, several: bool, local_balancer: str
) -> None:
    """
    Take the first host of the control plane for the apiserver, as one that has to be checked.

    :param first: its name, and where that is defined. :param url: of its apiserver.
    :param local_balancer: how the tool's own nodes reach all of them, in a clause.
    """
    name, place = first
    doubt = "the first of the control plane, which nodes would depend on"
    if several:
        doubt += f"; {local_balancer}, and so do"
        doubt += " fabnode's where cluster.apiserver lists all (docs/several-apiservers.md)"
    ledger.taken.append(Taken(KEY, url, place, name, f"{doubt}."))
