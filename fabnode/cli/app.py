"""
What tasks of `inv` and `fab` have in common: options to a run, results to the screen.

Every task prints by this module, and many have neither a run nor a host: what a run is carried out
with is imported by the functions that have one.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

from invoke.exceptions import Exit

from ..util.sanitize import clean
from . import exits, table

if TYPE_CHECKING:
    from ..config.configuration import Config
    from ..config.list_content import Outputs
    from ..config.secret_prompts import SecretRequest
    from ..deploy.run import Run
    from ..library.results import DeployResult
    from ..steps.checks.check import Check
    from .options import Options

DEFAULT_CONFIG = "config/cluster.yml"


def configuration(
    config: str = "", *, artifacts: bool = False, kubeconfig: str = "", access: bool = True
) -> Config:
    """
    Load the configuration that is meant. Raises ConfigError.

    :param kubeconfig: stands in for the one that it names.
    :param access: whether CA, credentials and keys must be there.
    """
    from ..config.loader import load

    other = Path(kubeconfig) if kubeconfig else None
    return load(
        configuration_path(config),
        artifacts=artifacts,
        kubeconfig=other,
        access=access,
        outputs=outputs(),
    )


@cache
def outputs() -> Outputs:
    """Return what commands of the configuration printed: each runs once in this process."""
    from ..config.list_content import Outputs

    return Outputs()


def cluster_of_runs(config: str = "") -> dict[str, str]:
    """
    Return by what a run's journal names the configured cluster.

    Empty where there is no configuration in the usual place.

    :raises ConfigError: there is one, and it can't be used.
    """
    if not config and not configuration_path(config).exists():
        return {}
    cluster = configuration(config).cluster
    return {"cluster": cluster.name, "apiserver": cluster.api_text}


def configuration_path(config: str = "") -> Path:
    """Return the file that is meant: an option's, the environment's or the usual one."""
    return Path(config or os.environ.get("FABNODE_CONFIG") or DEFAULT_CONFIG)


@contextmanager
def run_of(options: Options) -> Iterator[Run]:
    """
    Yield the run that is asked for, with a journal of its own and progress on the screen.

    What users can cause is raised as it is; tasks make it exits.
    """
    from ..library.runs import load_config, open_run
    from . import progress

    if options.max_parallel < 0 or options.batch < 0:
        raise Exit("--max-parallel and --batch must be 1 or more", exits.BAD_INPUT)
    if options.bundle_sha256 is not None and not options.bundle:
        raise Exit("--bundle-sha256 goes with --bundle FILE", exits.BAD_INPUT)
    if options.bundle:
        path, digest = configuration_path(options.config), options.bundle_sha256
        config = load_config(path, bundle=options.bundle, bundle_sha256=digest)
    else:
        config = configuration(
            options.config, artifacts=options.installs, kubeconfig=options.kubeconfig
        )
    may_ask = sys.stdin.isatty() and not options.json
    with open_run(
        config,
        limit=options.limit or None,
        only=options.only,
        deep=options.deep,
        max_parallel=options.max_parallel or None,
        batch=options.batch or (config.maintenance.batch if options.in_use else None),
        ask_secret=_ask_at_terminal if may_ask else None,
        needs_secrets=not options.kubeconfig and not options.api_only,
        joins=options.joins,
        sinks=[progress.show(json=options.json)],
        command=" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if options.recorded else "",
        endless=options.endless,
    ) as run:
        try:
            yield run
        except Exit as stop:
            if options.recorded:
                run.journal.end(stop.code)
            raise


def _ask_at_terminal(request: SecretRequest) -> str:
    return getpass.getpass(request.question)


def end(
    run: Run,
    checks: Sequence[Check],
    *,
    as_json: bool,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """
    Print how the run ended, node by node, and exit 1 if anything failed.

    :param more: further entries of the document for programs.
    """
    from ..library.results import deploy_result

    run.journal.detach_sinks()
    result = deploy_result(run, checks)
    if as_json:
        print_json({**result.to_dict(), **more})
    else:
        _print_rows(result)
        if bad := [check for check in checks if not check.ok]:
            print()
            print_checks(bad)
    if not result.ok:
        raise Exit(code=exits.FAILED)


@contextmanager
def shown_if_interrupted(run: Run, *, as_json: bool) -> Iterator[None]:
    """Print what was reached with each node where the user interrupts the run."""
    from ..library.results import deploy_result

    try:
        yield
    except KeyboardInterrupt:
        run.journal.detach_sinks()
        result = deploy_result(run, ())
        if as_json:
            print_json(result.to_dict())
        else:
            _print_rows(result)
        raise


def _print_rows(result: DeployResult) -> None:
    width, colour = table.width_of(sys.stdout), table.supports_colour(sys.stdout)
    print()
    print(table.end_table(result.rows, width=width, colour=colour))


def confirmed(question: str) -> bool:
    """Ask whoever is at the terminal; anything but a yes is a no, the end of input too."""
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:
        print()  # the question's line has not ended
        return False
    return answer.strip().lower() in {"y", "yes"}


def print_checks(checks: Sequence[Check]) -> None:
    """Print checks as a table; one that is not good and the same on many nodes is one row."""
    from ..journal.summary import CLUSTER

    nodes: dict[tuple[str, ...], list[str]] = {}
    for check in checks:
        result = "ok" if check.ok else "warning" if check.warning else "failed"
        following = "" if check.ok or not check.advice else f"; next: {check.advice}"
        own = (check.node or "") if check.ok else ""
        row = (check.name, result, check.detail + following, own)
        nodes.setdefault(row, []).append(check.node or CLUSTER)
    lines = [
        (", ".join(dict.fromkeys(names)), name, result, seen)
        for (name, result, seen, _), names in nodes.items()
    ]
    print_table(("NODE", "CHECK", "RESULT", "SEEN"), lines)


def print_text(text: str, *, end: str = "\n", file: TextIO | None = None) -> None:
    """
    Print lines for people; the only way in which commands do it.

    Anything in a text may come from a host, a server or a file: control characters are taken out
    here, so that nobody steers the operator's terminal.
    """
    print(clean(text, lines=True), end=end, file=file)


def print_table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a table as wide as the terminal, in colour where that is welcome."""
    width, colour = table.width_of(sys.stdout), table.supports_colour(sys.stdout)
    shown = [[clean(cell, lines=True) for cell in line] for line in lines]
    print(table.table(heads, shown, width=width, colour=colour))


def plain(value: Any) -> Any:
    """Return a value as what JSON knows: contents as their size, values without parts as text."""
    from ..pki.certificates import CertificateFile

    if isinstance(value, CertificateFile):
        return value.pem
    if is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: (plain if f.repr else _unshown)(getattr(value, f.name)) for f in fields(value)
        }
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return str(value)


def _unshown(value: Any) -> Any:
    """Return of contents that may hold secrets how long they are."""
    if isinstance(value, Mapping):
        return {key: f"<{len(content)} lines>" for key, content in value.items()}
    return plain(value)


def as_json(value: Any) -> str:
    """Return a value as JSON in one line."""
    return json.dumps(value, ensure_ascii=False)


def print_json(document: Mapping[str, Any]) -> None:
    """Print a document for programs."""
    print(json.dumps(document, indent=2))
