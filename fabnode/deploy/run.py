"""A run over many nodes: what it is about, what it works with, and work on nodes side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..artifacts import store
from ..journal.events import RUN
from ..remote.payload_cache import Packer
from ..ssh.connections import Access
from ..ssh.host import Host
from ..steps.order import NODE_STEPS, STEPS, node_steps
from ..util.fan_out import Outcome, fan_out
from ..util.folders import cache_dir
from .cluster_session import ClusterSession
from .node_deployer import NodeDeployer

if TYPE_CHECKING:
    from ..config.configuration import Config, Node
    from ..journal.journal import Journal
    from ..kube.rbac_rules import Right
    from ..node.facts import Facts
    from ..steps.step import Step
    from .relay import Relay

R = TypeVar("R")

# Each open connection is a file, a thread and 0.2 MB. A further login takes some round trips.
_KEPT_OPEN = 250


@dataclass(frozen=True, slots=True)
class Run:
    """
    What a run is about, and how wide.

    :param steps: all that there are, the site's own among them.
    :param only: the node steps to carry out; everything else of a node is left as it is.
    :param deep: hash every managed file again, rather than those that seem changed.
    :param shared_token: of the cluster's token file, where hosts join with that.
    :param outcomes: what became of each node so far; filled in by the run.
    """

    config: Config
    nodes: tuple[Node, ...]
    journal: Journal
    passwords: Mapping[tuple[str, str], str]
    max_parallel: int
    batch: int | None = None
    steps: Sequence[Step] = STEPS
    only: Sequence[Step] = NODE_STEPS
    deep: bool = False
    shared_token: str = field(default="", repr=False)
    outcomes: dict[str, Outcome[Any]] = field(default_factory=dict, repr=False, compare=False)

    def record_outcome(self, name: str, outcome: Outcome[Any]) -> None:
        """
        Record how work on a node ended, here and in the journal.

        Called for all work on nodes, so that nothing depends on each step having recorded its own
        failure. Of several pieces of work on one node the first that was not done counts.
        """
        if outcome.error:
            self.journal.settle(name, outcome.error, seconds=outcome.seconds)
        elif outcome.skipped:
            self.journal.emit(name, RUN, "skipped", outcome.skipped)
        else:
            self.journal.settle(name, seconds=outcome.seconds)
        before = self.outcomes.get(name)
        if before is None or before.ok:
            self.outcomes[name] = outcome

    @property
    def whole(self) -> bool:
        """Whether this is about all of a node, and so about rights and the pod network too."""
        return tuple(self.only) == node_steps(self.steps)


def on_nodes(run: Run, work: Callable[[NodeDeployer], R]) -> dict[str, Outcome[R]]:
    """Do something with every node of the run; nothing is installed, nor changed at the API."""
    with RunContext(run, installs=False) as context:
        return context.each(work)


def on_hosts(
    run: Run, work: Callable[[Host], R], on_interrupt: Callable[[], None] = lambda: None
) -> dict[str, Outcome[R]]:
    """
    Do something with every host of the run, whoever made it a node: by SSH alone.

    :param on_interrupt: called when the user interrupts: has work that waits end.
    """
    with Access(run.passwords) as access:

        def one(node: Node) -> R:
            with Host(node, access) as host:
                return work(host)

        return _fan_out(run, run.nodes, one, on_interrupt)


class RunContext:
    """
    What a run works with: the session and a deployer per node, opened and closed together.

    :param installs: artifacts are compared or installed, so that they must be on this machine.
    :param rights: what it needs of the API; None: what a deployment does.
    :param more_rights: what it needs besides.
    :param in_waves: its batch is how many nodes may be away at once, and not how many may join.
    """

    def __init__(
        self,
        run: Run,
        *,
        dry_run: bool = False,
        in_waves: bool = False,
        installs: bool = True,
        rights: Sequence[Right] | None = None,
        more_rights: Sequence[Right] = (),
    ) -> None:
        self.run = run
        self._away = run.batch if in_waves else None
        self._artifacts = store.load(run.config) if installs else store.expected(run.config)
        self.session = ClusterSession(
            run.config,
            run.journal,
            dry_run=dry_run,
            shared_token=run.shared_token,
            rights=rights,
            more_rights=more_rights,
        )
        self._packer = Packer(cache_dir() / "packed")
        self._stack = ExitStack()
        self._nodes: dict[str, NodeDeployer] = {}
        self._open: set[str] = set()
        self._lock = threading.Lock()
        self._relays = run.config.artifacts.distribution == "relay" and installs and not dry_run
        self._relay: Relay | None = None  # that spans several pieces of work

    def __enter__(self) -> RunContext:
        self._stack.callback(self.session.close)
        self._access = self._stack.enter_context(Access(self.run.passwords))
        self.session.open(self.run.nodes, self._away)
        return self

    def __exit__(self, *_: object) -> None:
        for deployer in self._nodes.values():
            deployer.host.close()
        self._stack.close()

    def each(
        self,
        work: Callable[[NodeDeployer], R],
        names: Collection[str] | None = None,
        *,
        batched: bool = True,
        last: bool = False,
    ) -> dict[str, Outcome[R]]:
        """
        Do this for every node (or those named), as many at once as the run allows.

        :param batched: in the run's batches; what changes nothing needs none.
        :param last: nothing else is expected to be done with them.
        """
        run = self.run if batched else replace(self.run, batch=None)
        wanted = [node for node in run.nodes if names is None or node.name in names]
        kept = 0 if last else _KEPT_OPEN
        with nullcontext(self._relay) if self._relay else self._new_relay(wanted) as relay:
            if relay:
                kept = len(run.nodes)  # a host serves as long as its connection lasts
            return _fan_out(run, wanted, partial(self._one, work, relay, kept), self._interrupt)

    @contextmanager
    def relayed(self, names: Collection[str]) -> Iterator[None]:
        """
        Have nodes pass on parts to those that are worked on after them, until this is left.

        :param names: of those nodes; each is worked on once.
        """
        with self._new_relay([node for node in self.run.nodes if node.name in names]) as relay:
            self._relay = relay
            try:
                yield
            finally:
                self._relay = None

    def _new_relay(self, nodes: Sequence[Node]) -> AbstractContextManager[Relay | None]:
        """Return by what these nodes pass on parts to each other; None: they are sent to each."""
        if not self._relays or len(nodes) < 2:
            return nullcontext()
        from .relay import Relay  # which other runs do not need

        return Relay(self.run.config, self.run.journal, nodes)

    @property
    def held_images(self) -> frozenset[str]:
        """References of all images that nodes get from the deployer."""
        of_all = self._artifacts.by_arch.values()
        return frozenset(n for each in of_all for archive in each.images for n in archive.names)

    def facts(self, name: str) -> Facts:
        """Return what the last probe of a node found."""
        return self._nodes[name].facts

    def _interrupt(self) -> None:
        """Have the nodes' work end where it is: each revokes its own token then."""
        self.session.interrupt()
        for deployer in list(self._nodes.values()):
            deployer.host.interrupt()

    def _one(
        self, work: Callable[[NodeDeployer], R], relay: Relay | None, kept: int, node: Node
    ) -> R:
        """
        Work with the node's deployer, made once per run and used by one thread at a time.

        :param relay: by which nodes pass on parts to each other meanwhile; None: they don't.
        :param kept: so many nodes' connections stay open after that, for what comes next.
        """
        if node.name not in self._nodes:
            self._nodes[node.name] = NodeDeployer(
                Host(node, self._access),
                self.session,
                self.run.journal,
                self._artifacts,
                self._packer,
                steps=self.run.only,
                all_steps=node_steps(self.run.steps),
                deep=self.run.deep,
            )
        deployer = self._nodes[node.name]
        deployer.relay = relay
        try:
            return work(deployer)
        finally:
            if relay:
                relay.leave(node.name)
            self._let_go(deployer, kept)

    def _let_go(self, deployer: NodeDeployer, kept: int) -> None:
        """Close a connection, unless it is one of those that are kept; its next use opens it."""
        with self._lock:
            self._open.add(deployer.node.name)
            if len(self._open) <= kept:
                return
            self._open.remove(deployer.node.name)
        deployer.host.close()


def _fan_out(
    run: Run,
    nodes: Sequence[Node],
    work: Callable[[Node], R],
    on_interrupt: Callable[[], None] = lambda: None,
) -> dict[str, Outcome[R]]:
    """
    Work on nodes side by side, as many at once as the run and their groups allow.

    This is the one place where work on nodes ends, whatever it is, and where that is taken down.
    """
    groups = run.config.groups.values()
    return fan_out(
        nodes,
        work,
        name=lambda node: node.name,
        max_parallel=run.max_parallel,
        group_limits={g.name: g.max_parallel for g in groups if g.max_parallel},
        groups_of=lambda node: node.groups,
        batch=run.batch,
        on_outcome=run.record_outcome,
        on_interrupt=on_interrupt,
    )
