"""
What `inv` and `fab` have in common: options to a run, errors to sentences and exit codes.

Exit codes: 0 all well; 1 something failed on the way; 2 bad input, nothing was changed; 3 something
would change, or is due, where that was asked; 130 interrupted; 141 nobody reads the output any
more, as behind `| head`.
"""

from __future__ import annotations

import ctypes
import errno
import getpass
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

from invoke.exceptions import Exit

from ..config.loader import load
from ..library.results import deploy_result
from ..library.runs import load_config, open_run
from ..pki.certificates import CertificateFile
from ..util.errors import FabnodeError
from ..util.sanitize import clean
from . import progress, table

if TYPE_CHECKING:
    from ..config.configuration import Config
    from ..deploy.run import Run
    from ..ssh.secret_prompts import SecretRequest
    from ..steps.verify import Check

_PR_SET_DUMPABLE = 4  # linux/prctl.h
DEFAULT_CONFIG = "config/cluster.yml"

FAILED, BAD_INPUT, WOULD_CHANGE, INTERRUPTED = 1, 2, 3, 130
NOBODY_READS = 141  # as shells report a program that SIGPIPE ended

# The options that many tasks share, with one wording.
HELP = {
    "config": "Configuration file (default: $FABNODE_CONFIG, else config/cluster.yml).",
    "limit": "Only these nodes: names, groups or globs, with commas between.",
    "json": "Print JSON for programs; progress goes to stderr.",
    "max-parallel": "Nodes worked on at once (default: deploy.max_parallel).",
    "batch": "Nodes per batch; the next starts when all of one are through.",
    "bundle": "Take everything that nodes get from this file of `inv bundle`.",
    "bundle-sha256": "Refuse the bundle unless it has this sha256, as `inv bundle` printed it.",
    "deep": "Hash every managed file again, not only those that seem changed.",
}


@dataclass(frozen=True, slots=True)
class Options:
    """
    What was asked for on the command line; 0 and empty mean: as configured.

    :param kubeconfig: stands in for the configuration's; hosts are not asked anything then.
    :param endless: it goes on until it is stopped, so that what it keeps must not grow.
    :param bundle: file that stands in for all that the configuration names of artifacts.
    :param bundle_sha256: what its digest has to be; empty: whatever it is.
    :param only: names of the node steps to carry out, with what they require; None: all of them.
    :param joins: hosts may join, so that a token they share is needed.
    :param recorded: it changes or proves something, so that its journal is kept for the report.
    :param installs: it compares or installs artifacts, so that they must be on this machine.
    """

    config: str = ""
    limit: str = ""
    json: bool = False
    max_parallel: int = 0
    batch: int = 0
    deep: bool = False
    only: Sequence[str] | None = None
    joins: bool = False
    recorded: bool = False
    installs: bool = True
    bundle_sha256: str = ""
    bundle: str = ""
    kubeconfig: str = ""
    endless: bool = False


def configuration(config: str = "", *, artifacts: bool = False, kubeconfig: str = "") -> Config:
    """
    Load the configuration that is meant. Raises ConfigError.

    :param kubeconfig: stands in for the one that it names.
    """
    other = Path(kubeconfig) if kubeconfig else None
    return load(_path(config), artifacts=artifacts, kubeconfig=other)


def _path(config: str) -> Path:
    return Path(config or os.environ.get("FABNODE_CONFIG") or DEFAULT_CONFIG)


@contextmanager
def run_of(options: Options) -> Iterator[Run]:
    """
    Yield the run that is asked for, with a journal of its own and progress on the screen.

    What users can cause is raised as it is; tasks make it exits.
    """
    if options.max_parallel < 0 or options.batch < 0:
        raise Exit("--max-parallel and --batch must be 1 or more", BAD_INPUT)
    if options.bundle_sha256 and not options.bundle:
        raise Exit("--bundle-sha256 goes with --bundle FILE", BAD_INPUT)
    if options.bundle:
        path, digest = _path(options.config), options.bundle_sha256
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
        batch=options.batch or None,
        ask_secret=_ask_at_terminal if may_ask else None,
        needs_secrets=not options.kubeconfig,
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


@contextmanager
def errors_as_exits() -> Iterator[None]:
    """
    Turn what users can cause into a sentence and an exit code, and leave no core dump.

    Errors quote an API, a bundle or a server: none of that steers the terminal.

    Around every task of `inv` and `fab`, as a decorator.
    """
    # Tokens, keys and passwords are in our memory. Unlike a limit of zero this also keeps programs
    # that are handed dumps from getting one, and other processes of the user from reading it.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    try:
        with _standard_streams():
            yield
    except FabnodeError as error:
        advice = f"\nnext: {error.advice}" if error.advice else ""
        raise Exit(clean(f"{error.message}{advice}", lines=True), error.exit_code) from error
    except KeyboardInterrupt as error:
        raise Exit("interrupted; the same command goes on from here", INTERRUPTED) from error


@contextmanager
def _standard_streams() -> Iterator[None]:
    """
    Make up for those that are closed; a full disk is a sentence.

    An output that nobody reads any more, as behind `| head`, ends the program quietly.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nothing = Path(os.devnull).open(mode)  # noqa: SIM115 - open as long as the program runs
            setattr(sys, name, nothing)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.filename or error.errno not in {errno.EPIPE, errno.ENOSPC}:
            raise
        # Python flushes once more when it ends; what is left goes nowhere then.
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            raise Exit(code=NOBODY_READS) from error
        raise Exit(f"the output ends here: {error.strerror}", FAILED) from error


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
    run.journal.detach_sinks()
    result = deploy_result(run, checks)
    if as_json:
        print_json({**result.to_dict(), **more})
    else:
        width, colour = table.width_of(sys.stdout), table.supports_colour(sys.stdout)
        print()
        print(table.end_table(result.rows, width=width, colour=colour))
        if bad := [check for check in checks if not check.ok]:
            print()
            print_checks(bad)
    if not result.ok:
        raise Exit(code=FAILED)


def confirmed(question: str) -> bool:
    """Ask whoever is at the terminal; anything but a yes is a no, the end of input too."""
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:
        print()  # the question's line has not ended
        return False
    return answer.strip().lower() in {"y", "yes"}


def print_checks(checks: Sequence[Check]) -> None:
    """Print checks as a table."""
    lines = []
    for check in checks:
        result = "ok" if check.ok else "warning" if check.warning else "failed"
        following = "" if check.ok or not check.advice else f"; next: {check.advice}"
        lines.append((check.node or "cluster", check.name, result, check.detail + following))
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
    if isinstance(value, CertificateFile):
        return value.pem
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
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


def print_json(document: Mapping[str, Any]) -> None:
    """Print a document for programs."""
    print(json.dumps(document, indent=2))
