"""
Runs as functions: load a configuration, plan, deploy, verify. No screen, no exit, no questions.

The command line opens its runs here as well, with a screen as sink and a terminal to ask.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import loader
from ..config.secret_prompts import ask_bootstrap_token, ask_registries, ask_secrets
from ..deploy import pipeline
from ..deploy.run import Run
from ..deploy.site_steps import steps_of
from ..journal.journal import Journal
from ..steps.order import node_steps, with_required
from ..util.about import VERSION
from ..util.digests import is_sha256
from ..util.errors import FabnodeError, InputError
from ..util.folders import cache_dir
from ..util.problems import nearest
from .results import VerifyResult, deploy_result, plan_result
from .subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..config.configuration import Config, Node
    from ..config.secret_prompts import SecretRequest
    from ..journal.events import Event
    from ..journal.journal import Sink
    from ..steps.step import Step
    from .results import DeployResult, PlanResult

_FAILED, _INTERRUPTED = 1, 130


def load_config(
    path: str | Path,
    *,
    artifacts: bool = True,
    bundle: str | Path | None = None,
    bundle_sha256: str | None = None,
) -> Config:
    """
    Load a configuration file and check it.

    :param artifacts: the files that a deployment installs must be there.
    :param bundle: file of `inv bundle` that stands in for all artifacts named by the configuration.
    :param bundle_sha256: digest that the bundle must have, hex; None: any.
    :raises ConfigError: with all problems found, each with file, line and key.
    :raises InputError: the bundle can't be used.
    """
    if bundle_sha256 is not None and not bundle:
        raise InputError("bundle_sha256 needs a bundle")
    promised = (bundle_sha256 or "").lower()
    # One that was given and is empty is a variable that was not set, and proves nothing.
    if bundle_sha256 is not None and not is_sha256(promised):
        odd = f"sha256 of the bundle: {bundle_sha256[:80]!r} is not one"
        raise InputError(f"{odd}; expected 64 hexadecimal digits")
    config = loader.load(Path(path), artifacts=artifacts and not bundle)
    if bundle:
        from ..artifacts.bundle_overlay import bundled

        return bundled(config, Path(bundle), cache_dir() / "bundles", promised)
    return config


def plan(
    config: Config,
    *,
    limit: str | None = None,
    deep: bool = False,
    max_parallel: int | None = None,
    ask_secret: Callable[[SecretRequest], str] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> PlanResult:
    """
    Return what `deploy_nodes` would change, by the same code. Changes nothing.

    :param limit: names, addresses, groups or globs of nodes, with commas between; None: all.
    :param deep: hash every managed file again, not only those that seem changed.
    :param max_parallel: nodes worked on at once; None: as configured.
    :param ask_secret: returns a secret that the configuration marks with `{prompt: true}`.
    :param on_event: gets every event of the run, one at a time, from the run's threads.
    :raises FabnodeError: nothing could be planned; of a single node that stands in the result.
    """
    with open_run(
        config,
        limit=limit,
        deep=deep,
        max_parallel=max_parallel,
        ask_secret=ask_secret,
        sinks=_sinks(on_event),
    ) as run:
        return plan_result(pipeline.plan(run))


def deploy_nodes(
    config: Config,
    *,
    limit: str | None = None,
    deep: bool = False,
    max_parallel: int | None = None,
    batch: int | None = None,
    ask_secret: Callable[[SecretRequest], str] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> DeployResult:
    """
    Turn the configured hosts into Ready nodes and prove that they work.

    A node that fails stops alone and stands in the result.

    :param batch: nodes per batch; the next starts when all of one are through without failure;
        None: as configured.
    :raises FabnodeError: the run could not begin or go on; its `exit_code` is 2 for bad input.

    The other parameters are those of `plan`.
    """
    with open_run(
        config,
        limit=limit,
        deep=deep,
        max_parallel=max_parallel,
        batch=batch,
        ask_secret=ask_secret,
        sinks=_sinks(on_event),
        joins=True,
        command="fabnode.deploy_nodes",
    ) as run:
        result = deploy_result(run, pipeline.deploy(run))
        run.journal.end(0 if result.ok else _FAILED)
        return result


def verify(
    config: Config,
    *,
    limit: str | None = None,
    network: bool = True,
    max_parallel: int | None = None,
    ask_secret: Callable[[SecretRequest], str] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> VerifyResult:
    """
    Check nodes and cluster; a node that can't be reached is a failed check.

    :param network: have pods on every node try the network as well.
    :raises FabnodeError: nothing could be checked.

    The other parameters are those of `plan`.
    """
    with open_run(
        config,
        limit=limit,
        max_parallel=max_parallel,
        ask_secret=ask_secret,
        sinks=_sinks(on_event),
        command="fabnode.verify",
    ) as run:
        result = VerifyResult(
            tuple(pipeline.verify_nodes(run, network=network)), run.journal.folder
        )
        run.journal.end(0 if result.ok else _FAILED)
        return result


@contextmanager
def open_run(
    config: Config,
    *,
    limit: str | None = None,
    only: Sequence[str] | None = None,
    deep: bool = False,
    max_parallel: int | None = None,
    batch: int | None = None,
    ask_secret: Callable[[SecretRequest], str] | None = None,
    needs_secrets: bool = True,
    joins: bool = False,
    sinks: Sequence[Sink] = (),
    command: str = "",
    endless: bool = False,
) -> Iterator[Run]:
    """
    Yield a run with its journal, and close it.

    :param only: names of the node steps to carry out, with what they require; None: all of them.
    :param needs_secrets: False where no host is asked anything.
    :param joins: hosts may join, so that a token they share is needed.
    :param command: what the journal names as cause of the run; empty: no journal is written.
    :param endless: it goes on until it is stopped, so that the journal must not grow.
    """
    steps = steps_of(config)
    if not all(number is None or number > 0 for number in (max_parallel, batch)):
        raise InputError("max_parallel and batch must be 1 or more")
    nodes = config.select(limit)
    passwords = ask_secrets(nodes, ask_secret) if needs_secrets else {}
    keys = ask_registries(config.images.registries, ask_secret) if needs_secrets else {}
    config = replace(config, registry_passwords=keys)
    shared = config.bootstrap.token if joins else None
    token = ask_bootstrap_token(shared, ask_secret) if shared else ""
    written = Journal.open(sinks, endless=endless) if command else None
    with written or Journal(None, sinks) as journal:
        for sink in sinks:
            if isinstance(sink, Subscriber):
                sink.journal = journal
        for secret in (*passwords.values(), *keys.values(), token):
            journal.secret(secret)
        with _recorded(journal, config, nodes, command) if command else nullcontext():
            yield Run(
                config=config,
                nodes=nodes,
                journal=journal,
                passwords=passwords,
                max_parallel=max_parallel or config.deploy.max_parallel,
                batch=batch or config.deploy.batch,
                steps=steps,
                only=_chosen(only, steps),
                deep=deep,
                shared_token=token,
            )


def _chosen(names: Sequence[str] | None, steps: Sequence[Step]) -> tuple[Step, ...]:
    acting = node_steps(steps)
    if names is None:
        return acting
    known = [step.name for step in acting]
    for name in names:
        if name not in known:
            hint = nearest(name, known) or f"there are {', '.join(known)}"
            raise InputError(f"no step on hosts is called {name!r}; {hint}")
    return with_required(names, steps)


def _sinks(on_event: Callable[[Event], None] | None) -> list[Sink]:
    return [Subscriber(on_event)] if on_event else []


@contextmanager
def _recorded(
    journal: Journal, config: Config, nodes: Sequence[Node], command: str
) -> Iterator[None]:
    """Record what was asked for, and the exit code where nobody recorded it before."""
    about = {
        "cluster": config.cluster.name,
        "apiserver": config.cluster.api_text,
        "kubernetes": str(config.cluster.version),
    }
    journal.begin(command, [node.name for node in nodes], **about, fabnode=VERSION)
    code = _FAILED
    try:
        yield
        code = 0
    except FabnodeError as error:
        code = error.exit_code
        raise
    except KeyboardInterrupt:
        code = _INTERRUPTED
        raise
    finally:
        journal.end(code)
