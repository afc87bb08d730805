"""`inv hosts.trust`: shows host keys, and records those that the user has compared."""

from __future__ import annotations

import re
import sys
from functools import partial
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from ...ssh.connections import Access
from ...ssh.errors import HostError
from ...ssh.host_key_enrolment import enrol
from .. import app, exits

if TYPE_CHECKING:
    from collections.abc import Collection

    from ...ssh.host_key_enrolment import Offer
    from ..options import Options

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")  # as ssh-keygen -l prints it


def trust(options: Options, fingerprints: Collection[str]) -> None:
    """Show host keys; record those that match a given fingerprint or that the user confirms."""
    config = app.configuration(options.config)
    nodes = config.select(options.limit or None)
    if not fingerprints and not sys.stdin.isatty():
        raise Exit(
            "no terminal to ask on: give the expected --fingerprint SHA256:…, once per host",
            exits.BAD_INPUT,
        )
    if odd := [each for each in fingerprints if not _FINGERPRINT.fullmatch(each)]:
        raise Exit(
            f"--fingerprint: {odd[0]!r} is not one; expected SHA256: and 43 characters,"
            " as ssh-keygen -l prints it",
            exits.BAD_INPUT,
        )
    failed = False
    with Access() as access:
        for node in nodes:
            try:
                offers = enrol(access, node, partial(_confirm, node.name), fingerprints)
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


def _confirm(node: str, offer: Offer) -> bool:
    (key,), (command,) = offer.fingerprints, offer.commands
    app.print_text(f"{node}: {offer.name} is unknown. It presents this key:")
    app.print_text(f"  {key}")
    app.print_text("Compare it with the output of this command on the host's own console:")
    app.print_text(f"  {command}")
    return app.confirmed(f"{node}: are they the same? Record the key?")
