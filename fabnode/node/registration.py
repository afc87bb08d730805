"""What the API says of a node, as far as that tells whether it was removed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Registration:
    """
    A Node object.

    :param since: when it was made, as the API has it. :param where: its addresses, in words.
    :param ready: its kubelet reports that it is Ready.
    :param known: it is a node of the configuration.
    :param controls: it bears a label of control planes, which no kubelet can give itself.
    :param locked: what says that it was locked out, or its removal begun; empty: nothing does.
    :param removed: day on which a removal took its kube-proxy's rights; empty: none did, or they
        were given again.
    """

    name: str
    since: str
    where: str
    ready: bool
    known: bool
    controls: bool = False
    locked: str = ""
    removed: str = ""
