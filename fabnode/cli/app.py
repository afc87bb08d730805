"""
What `inv` and `fab` have in common: options to a run, errors to sentences and exit codes.

Exit codes: 0 all well; 1 something failed on the way; 2 bad input, nothing was changed; 3 something
would change, or is due, where that was asked; 130 interrupted.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

from invoke.exceptions import Exit

from .. import __version__
from ..artifacts.bundle_overlay import bundled
from ..config.loader import load
from ..deploy import pipeline
from ..journal import summary
from ..journal.journal import Journal
from ..ssh.secret_prompts import (
    ask_bootstrap_token,
    ask_registries,
    ask_secrets,
)
from ..util.errors import FabnodeError
from ..util.folders import cache_dir
from ..util.sanitize import clean
from . import progress, table

if TYPE_CHECKING:
    from types import ModuleType

    from ..config.cluster import Cluster, Node
    from ..steps.verify import Check

_PR_SET_DUMPABLE = 4  # linux/prctl.h
DEFAULT_CONFIG = "config/cluster.yml"

_SHA256 = re.compile("[0-9a-f]{64}", re.ASCII)

FAILED, BAD_INPUT, WOULD_CHANGE, INTERRUPTED = 1, 2, 3, 130

# The options that many tasks share, with one wording.
HELP = {
    "config": "Configuration file (default: $FABNODE_CONFIG, else config/cluster.yml).",
    "limit": "Only these nodes: names, groups or globs, with commas between.",
    "json": "Print JSON for programs; progress goes to stderr.",
    "max-parallel": "Nodes worked on at once (default: deploy.max_parallel).",
    "batch": "Nodes per batch; the next starts when all of one are through.",
    "bundle": "Take everything that nodes get from this file of `inv bundle`.",
    "bundle-sha256": "Refuse the bundle unless it has this sha256, as `inv bundle` printed it.",
    "deep": "Hash every managed file again, not only those that look touched.",
}


@dataclass(frozen=True, slots=True)
class Options:
    """
    What was asked for on the command line; 0 and empty mean: as configured.

    :param kubeconfig: stands in for the configuration's; hosts are not asked anything then.
    :param endless: it goes on until it is stopped, so that what it keeps must not grow.
    :param bundle: file that stands in for all that the configuration names of artifacts.
    :param bundle_sha256: what its digest has to be; empty: whatever it is.
    :param joins: hosts may join, so that a token they share is needed.
    :param recorded: it changes or proves something, so that its journal is kept for the report.
    :param installs: it may install what this machine holds for nodes, so that must be there.
    """

    config: str = ""
    limit: str = ""
    json: bool = False
    max_parallel: int = 0
    batch: int = 0
    deep: bool = False
    only: Sequence[ModuleType] = pipeline.NODE_STEPS
    joins: bool = False
    recorded: bool = False
    installs: bool = True
    bundle_sha256: str = ""
    bundle: str = ""
    kubeconfig: str = ""
    endless: bool = False


def configuration(config: str = "", *, artifacts: bool = False, kubeconfig: str = "") -> Cluster:
    """
    Load the configuration that is meant. Raises ConfigError.

    :param kubeconfig: stands in for the one that it names.
    """
    path = config or os.environ.get("FABNODE_CONFIG") or DEFAULT_CONFIG
    other = Path(kubeconfig) if kubeconfig else None
    return load(Path(path), artifacts=artifacts, kubeconfig=other)


@contextmanager
def run_of(options: Options) -> Iterator[pipeline.Run]:
    """
    Yield the run that is asked for, with a journal of its own and progress on the screen.

    What users can cause is raised as it is; tasks make it exits.
    """
    if options.max_parallel < 0 or options.batch < 0:
        raise Exit("--max-parallel and --batch want numbers from 1 on", BAD_INPUT)
    if options.bundle_sha256 and not options.bundle:
        raise Exit("--bundle-sha256 goes with --bundle FILE", BAD_INPUT)
    promised = options.bundle_sha256.lower()
    if promised and not _SHA256.fullmatch(promised):
        odd = f"--bundle-sha256: {options.bundle_sha256[:80]!r} is none"
        raise Exit(f"{odd}; one is 64 hexadecimal digits", BAD_INPUT)
    files = options.installs and not options.bundle
    cluster = configuration(options.config, artifacts=files, kubeconfig=options.kubeconfig)
    if options.bundle:
        cluster = bundled(cluster, Path(options.bundle), cache_dir() / "bundles", promised)
    nodes = cluster.select(options.limit or None)
    may_ask = sys.stdin.isatty() and not options.json
    asks = not options.kubeconfig
    passwords = ask_secrets(nodes, may_ask=may_ask) if asks else {}
    keys = ask_registries(cluster.images.registries, may_ask=may_ask) if asks else {}
    cluster = replace(cluster, registry_passwords=keys)
    shared = cluster.bootstrap.token if options.joins else None
    token = ask_bootstrap_token(shared, may_ask=may_ask) if shared else ""
    screen = progress.show(json=options.json)
    opened = Journal.open([screen], endless=options.endless) if options.recorded else None
    with opened or Journal(None, [screen]) as journal:
        for secret in (*passwords.values(), *keys.values(), token):
            journal.secret(secret)
        with _recorded(journal, cluster, nodes) if options.recorded else nullcontext():
            yield pipeline.Run(
                cluster=cluster,
                nodes=nodes,
                journal=journal,
                passwords=passwords,
                max_parallel=options.max_parallel or cluster.deploy.max_parallel,
                batch=options.batch or cluster.deploy.batch,
                only=options.only,
                deep=options.deep,
                shared_token=token,
            )


@contextmanager
def _recorded(journal: Journal, cluster: Cluster, nodes: Sequence[Node]) -> Iterator[None]:
    """Put down what was asked for, and the exit code that it ends with."""
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    names = [node.name for node in nodes]
    about = {"cluster": cluster.cluster.name, "version": str(cluster.cluster.version)}
    journal.begin(command, names, **about, fabnode=__version__)
    code = FAILED
    try:
        yield
        code = 0
    except Exit as stop:
        code = stop.code
        raise
    except FabnodeError as error:
        code = error.exit_code
        raise
    except KeyboardInterrupt:
        code = INTERRUPTED
        raise
    finally:
        journal.end(code)


@contextmanager
def errors_as_exits() -> Iterator[None]:
    """
    Turn what users can cause into a sentence and an exit code, and leave no core dump.

    What errors quote, an API, a bundle or a server said: none of it steers the terminal.

    Around every task of `inv` and `fab`, as a decorator.
    """
    # Tokens, keys and passwords are in our memory. Unlike a limit of zero this also keeps programs
    # that are handed dumps from getting one, and other processes of the user from looking.
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
    """Make up for those that are closed; an output that takes no more is a sentence, too."""
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
        raise Exit(f"the output ends here: {error.strerror}", FAILED) from error


def end(
    run: pipeline.Run,
    checks: Sequence[Check],
    *,
    as_json: bool,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """
    Print how the run ended, node by node, and exit 1 if anything failed.

    :param more: what the document for programs says besides.
    """
    run.journal.detach_sinks()
    names = [node.name for node in run.nodes]
    rows = summary.rows(run.journal.events, names, run.outcomes)
    bad = [check for check in checks if not check.ok]
    if as_json:
        document = {
            "nodes": plain(rows),
            "checks": plain(checks),
            **more,
        }
        print_json(document)
    else:
        width, colour = table.width_of(sys.stdout), table.wants_colour(sys.stdout)
        print()
        print(table.end_table(rows, width=width, colour=colour))
        if bad:
            print()
            print_checks(bad)
    if bad or any(row.result not in {"changed", "unchanged"} for row in rows):
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
    lines = [(c.node or "cluster", c.name, "ok" if c.ok else "failed", c.detail) for c in checks]
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
    width, colour = table.width_of(sys.stdout), table.wants_colour(sys.stdout)
    shown = [[clean(cell, lines=True) for cell in line] for line in lines]
    print(table.table(heads, shown, width=width, colour=colour))


def plain(value: Any) -> Any:
    """Return dataclasses, mappings, sets and bytes as what JSON knows; contents as their size."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, frozenset | set):
        return sorted(value)
    if hasattr(value, "items"):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value]


def print_json(document: Mapping[str, Any]) -> None:
    """Print a document for programs."""
    print(json.dumps(document, indent=2))
