"""
Who hosts of a first configuration are: asked over SSH, where their host keys are known.

Nobody is asked for anything meanwhile, and whoever can't be reached is named and left as given.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.configuration import Node
from ..config.sections import (
    HostSettings,
    KubeletSettings,
    KubeProxySettings,
    RuntimeSettings,
    SshSettings,
)
from ..remote import host_identity
from ..ssh.connections import Access, HopConnection, key_name
from ..ssh.host import Host
from ..util.errors import HostError
from ..util.fan_out import Outcome, fan_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..config.host_list import Host as ListedHost
    from ..remote.host_identity import HostIdentity

SECONDS = 30.0  # for all hosts together
_SECONDS_EACH = 10  # for each step of a login, and for the answer
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Identities:
    """
    What hosts reported, by the names they were given.

    :param unasked: why the others did not.
    """

    found: Mapping[str, HostIdentity]
    unasked: Mapping[str, str]


def identities(
    hosts: Sequence[ListedHost], login: SshSettings, *, seconds: float = SECONDS
) -> Identities:
    """
    Ask hosts who they are.

    A host is connected to only where known_hosts files have a key of it, and of each jump host
    before it. Passwords and passphrases are asked of nobody: keys of the agent and of files count.

    :param login: user, keys and known_hosts files, where they are given.
    :param seconds: after which nobody is waited for any more.
    """
    stop = threading.Event()
    opened: list[Host] = []
    too_late = f"there was no answer within {seconds:.0f} s"

    def end() -> None:
        stop.set()
        for host in opened:
            host.close()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    with Access() as access:

        def ask(host: ListedHost) -> HostIdentity:
            node = _node(host, login)
            _require_known_keys(access, node)
            with Host(node, access) as connected:
                opened.append(connected)
                try:
                    return host_identity.read(connected)
                except HostError:
                    if stop.is_set():
                        raise HostError(host.name, too_late) from None
                    raise

        timer.start()
        try:
            done = fan_out(
                hosts,
                ask,
                name=lambda host: host.name,
                max_parallel=_AT_ONCE,
                stop=stop,
                on_interrupt=end,
            )
        finally:
            timer.cancel()
    unasked = {name: _reason(o) or too_late for name, o in done.items() if not o.ok}
    return Identities({name: o.value for name, o in done.items() if o.value}, unasked)


def login_settings(user: str, key: str, known_hosts: str) -> SshSettings:
    """
    Return how to log in, with limits of time that suit a question.

    :param user: a valid one. :param key, known_hosts: absolute paths.
        Empty: as the user's ssh does.
    """
    given: dict[str, object] = {"user": user} if user else {}
    given |= {"keys": [key]} if key else {}
    given |= {"known_hosts": [known_hosts]} if known_hosts else {}
    limits = {"connect_timeout": _SECONDS_EACH, "command_timeout": _SECONDS_EACH}
    return SshSettings.model_validate({**given, **limits}, context={"base": Path("/")})


def _node(host: ListedHost, login: SshSettings) -> Node:
    """Return a host as connections want it: nothing but its address and login counts."""
    return Node(
        name=host.name,
        address=host.address,
        ip="",
        groups=(),
        labels={},
        annotations={},
        taints=(),
        ssh=login,
        host=HostSettings.model_validate({}),
        runtime=RuntimeSettings.model_validate({}),
        kubelet=KubeletSettings.model_validate({}),
        kube_proxy=KubeProxySettings.model_validate({}),
    )


def _require_known_keys(access: Access, node: Node) -> None:
    """Raise HostError where nobody knows a key of it, or of a server on the way."""
    hop: HopConnection | bool | None = access.connection(node)
    on_the_way = False
    while isinstance(hop, HopConnection):
        trust = access.trust(node, hop)
        if not trust.keys and not trust.authorities:
            whose = f" of {key_name(hop)}, on the way" if on_the_way else ""
            raise HostError(node.name, f"ssh does not know the host key{whose}")
        hop, on_the_way = hop.gateway, True


def _reason(outcome: Outcome[HostIdentity]) -> str:
    """Return why a host did not report anything; empty: there was no time left for it."""
    error = outcome.error
    if isinstance(error, HostError):
        return error.message
    return (str(error) or type(error).__name__) if error else ""
