"""`inv hosts.trust`: shows host keys, and records those that the user has compared."""

from __future__ import annotations

import re
import sys
from functools import partial
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from ...ssh.connections import Access
from ...ssh.host_key_enrolment import enrol
from ...util.errors import HostError
from .. import app, exits

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...ssh.host_key_enrolment import Offer
    from ..options import Options

# As ssh-keygen -l prints it; before it whose it is.
_FINGERPRINT = re.compile(r"(?:(?P<name>[^=]+)=)?(?P<digest>SHA256:[A-Za-z0-9+/]{43})")


def trust(options: Options, fingerprints: Collection[str]) -> None:
    """Show host keys; record those that match a given fingerprint or that the user confirms."""
    config = app.configuration(options.config)
    nodes = config.select(options.limit or None)
    if not fingerprints and not sys.stdin.isatty():
        raise Exit(
            "no terminal to ask on: give the expected --fingerprint NODE=SHA256:…, once per host",
            exits.BAD_INPUT,
        )
    expected = _by_name(fingerprints, [node.name for node in nodes])
    failed = False
    with Access() as access:
        for node in nodes:
            try:
                offers = enrol(access, node, partial(_confirm, node.name), expected)
            except HostError as error:
                app.print_text(f"{node.name}: {error}")
                failed = True
                continue
            for offer in offers:
                where = f" in {offer.file}" if offer.file else ""
                app.print_text(f"{node.name}: {offer.name} {offer.state}{where}")
                app.print_text("\n".join(f"  {shown}" for shown in offer.fingerprints))
                failed |= offer.state == "declined"
    if failed:
        raise Exit(code=exits.FAILED)


def _by_name(fingerprints: Collection[str], nodes: Sequence[str]) -> dict[str, list[str]]:
    """
    Return fingerprints by whose they are: a node's, or a server's on the way.

    One without a name can only be that of the one node that is selected: whoever holds the key of
    one host must not answer for another by it.
    """
    found: dict[str, list[str]] = {}
    for each in fingerprints:
        match = _FINGERPRINT.fullmatch(each)
        if not match:
            raise Exit(
                f"--fingerprint: {each!r} is not one; expected SHA256: and 43 characters,"
                " as ssh-keygen -l prints it, or NAME=SHA256:…",
                exits.BAD_INPUT,
            )
        if not match["name"] and len(nodes) != 1:
            raise Exit(
                f"--fingerprint: whose is {each}? give NODE=SHA256:…, or one node by --limit",
                exits.BAD_INPUT,
            )
        found.setdefault(match["name"] or nodes[0], []).append(match["digest"])
    return found


def _confirm(node: str, offer: Offer) -> bool:
    (key,), (command,) = offer.fingerprints, offer.commands
    app.print_text(f"{node}: {offer.name} is unknown. It presents this key:")
    app.print_text(f"  {key}")
    app.print_text("Compare it with the output of this command on the host's own console:")
    app.print_text(f"  {command}")
    return app.confirmed(f"{node}: are they the same? Record the key?")
