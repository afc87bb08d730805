"""`inv rbac.deployer`, `inv rbac.approver`, `inv rbac.forget`: accounts, and rights taken back."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import IO, TYPE_CHECKING

from invoke.exceptions import Exit

from ...deploy import account_setup, forgetting
from ...util.atomic_write import atomic_write
from ...util.yaml_io import dump_all
from .. import app, exits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ...config.configuration import Config
    from ...deploy.account_setup import DesiredAccount
    from ...releases.version import Release
    from ..options import Options

_MAX_HOURS = 24 * 365


def make_deployer(config: Config, out: Path, *, hours: int, show: bool, drains: bool) -> None:
    """
    Create or update the account that deploys, and write a kubeconfig for it.

    :param show: only print the objects. :param drains: it may drain nodes as well.
    """
    desired = partial(account_setup.deployer, drains=drains)
    _make(config, out, desired, hours=hours, show=show)


def make_approver(config: Config, out: Path, *, hours: int, show: bool) -> None:
    """
    Create or update the account of `inv approve-csr --serving-only`, and write its kubeconfig.

    :param show: only print the objects.
    """
    _make(config, out, account_setup.approver, hours=hours, show=show)


def _make(
    config: Config,
    out: Path,
    desired: Callable[[Config, Release], DesiredAccount],
    *,
    hours: int,
    show: bool,
) -> None:
    if not 0 < hours <= _MAX_HOURS:
        raise Exit(f"--hours must be a number from 1 to {_MAX_HOURS}", exits.BAD_INPUT)
    if show:
        app.print_text(dump_all(desired(config, config.cluster.version).objects), end="")
        return
    with _written(out) as file:  # opened first, so that a bad path changes nothing
        made, ends = account_setup.set_up(
            config,
            desired,
            file,
            hours=hours,
            on_change=lambda change: app.print_text(f"{change.action:7} {change.title}"),
        )
    left = (ends - datetime.now(UTC)).total_seconds() / 3600
    app.print_text(f"wrote   {out}: valid for {left:.0f} h, until {ends:%Y-%m-%d %H:%M} UTC")
    app.print_text("anyone who has this file can:")
    for power in made.powers:
        app.print_text(f"  - {power}")


def forget(options: Options, names: Sequence[str]) -> None:
    """Take back rights of kube-proxies by name; exit 1 where one may be in use, and is left."""
    with app.run_of(options) as run:
        found = forgetting.forget(run, names)
        run.journal.detach_sinks()
        for each in found:
            app.print_text(f"{each.name}: {each.text}")
        if not all(each.done for each in found):
            raise Exit(code=exits.FAILED)


@contextmanager
def _written(out: Path) -> Iterator[IO[bytes]]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(atomic_write(out))
        except OSError as error:
            raise Exit(f"--out {out}: {error.strerror}", exits.BAD_INPUT) from error
        yield file
