"""Applies a plan on its node: one command, one stream, no half-done change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ..node.conventions import STATE
from ..node.resources import Binary, ClientCertificate, Command, Image, Trace
from ..util.errors import HostError
from .apply_protocol import ApplyEvent, Exchange
from .apply_script import actions
from .payload import relayed, stream
from .payload_cache import GZIP, ZSTD, ArtifactChangedError
from .survey import record_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..node.plan import Plan
    from ..ssh.exec import Result
    from .apply_script import Actions, Pull
    from .payload import Course
    from .payload_cache import Packer
    from .survey import Observed

LOCK = "/run/fabnode.lock"

# How the node starts: alone (a run whose deployer was killed may still be ending), in a private
# directory, unpacking what arrives while it works on what has arrived. Neither the lock nor
# anything in its state may be a symlink, which would lead our writing elsewhere, or a FIFO, which
# would hold us up.
_START = """umask 077; state={state}
odd() {{ [ -h "$1" ] || {{ [ -e "$1" ] && [ ! -f "$1" ] && [ ! -d "$1" ]; }}; }}
! odd {lock} || rm -f {lock}; exec 9>{lock}
flock -E 75 -w 60 9 || {{ [ $? != 75 ] || echo busy; exit 1; }}
[ ! -h $state ] || {{ echo "$state is a symlink, but a directory is needed there" >&2; exit 1; }}
mkdir -p $state || exit
[ -O $state ] || {{ echo "$state belongs to somebody else than root" >&2; exit 1; }}
case $(stat -c %A $state) in ?????w*|????????w*)
echo "others than root may write in $state" >&2; exit 1 ;; esac
alien=$({{ find $state \\( -type d -o -type l \\
-o ! -path "$state/before/*" ! -path "$state/quarantine/*" \\) \\
\\( ! -user $(id -u) -o ! -type l \\( -perm -020 -o -perm -002 \\) \\) \\
&& echo none; }} 2>/dev/null | head -n 1)
case $alien in none) ;;
'') echo "$state was not searched for what others put there: install findutils" >&2; exit 1 ;;
*) echo "others than root put $alien there, or may change it: remove it" >&2; exit 1 ;; esac
chmod 700 $state && cd $state && rm -rf apply.* || exit
for name in *; do ! odd "$name" || rm -f "$name"; done
work=$state/apply.$$; mkdir $work && cd $work || exit
exec 3<&0 </dev/null; tar -xf - <&3 9>&- & tar=$!; exec 3<&-
until [ -e actions.ok ]; do
kill -0 $tar 2>/dev/null || [ -e actions.ok ] || {{ rm -rf $work; exit 1; }}
sleep 0.02; done
. ./apply.sh; . ./actions"""

_SLOWEST = 2**20  # bytes a second that a link has at least


class _Target(Protocol):
    """What a plan is carried out on: `ssh.host.Host`, as far as it is needed for that."""

    @property
    def name(self) -> str: ...

    @property
    def command_timeout(self) -> float: ...

    def root(
        self,
        script: str,
        *,
        stdin: Iterable[bytes],
        timeout: float,
        on_line: Callable[[bytes], None],
    ) -> Result: ...


@dataclass(frozen=True, slots=True)
class Applied:
    """
    A plan carried out.

    :param seconds: by change, in the plan's order; then that of waiting for steady units.
    :param sent: bytes.
    :param started: units that it started, each with the unix time of that by the host's own clock.
    """

    plan: Plan
    seconds: tuple[float, ...]
    sent: int
    started: Mapping[str, float] = field(default_factory=dict)


def apply(
    host: _Target,
    plan: Plan,
    packer: Packer,
    on_event: Callable[[ApplyEvent], None] = lambda _: None,
    *,
    zstd: bool = True,
    pull: Pull | None = None,
    course: Course | None = None,
    state: str = STATE,
    record: Observed | None = None,
    remakes: bool = False,
) -> Applied:
    """
    Carry out the plan.

    :param zstd: does the node have zstd (`"zstd" in facts.tools`)? gzip is used otherwise.
    :param pull: where the node gets artifacts itself; None: they are sent.
    :param course: by which hosts pass on what they have; None: all is sent.
    :param state: fabnode's directory on the node.
    :param record: what is recorded of the host before its first change, where nobody did it yet.
    :param remakes: the host is a node then, so that a reset which was cut off is over.
    :param on_event: called as things happen, in this thread.
    :raises ApplyError: an action failed; those before it are done.
    :raises HostError: the connection or the host failed; run it again.
    """
    if plan.empty:
        return Applied(plan, (), 0)
    suffix = ZSTD if zstd else GZIP
    todo = actions(plan, suffix, pull, record_call(record) if record else "", remakes)
    exchange = Exchange(host.name, plan, on_event, course)
    blocks = relayed(todo, packer, suffix, course) if course else stream(todo, packer, suffix)
    result = host.root(
        start(state),
        stdin=_readable(host.name, blocks, todo, packer),
        timeout=_limit(host, plan),
        on_line=exchange.line,
    )
    if failure := exchange.failure(result):
        if exchange.failed_part:
            packer.doubt([exchange.failed_part])
        raise failure
    return Applied(plan, tuple(exchange.seconds), result.sent, exchange.started)


def start(state: str = STATE, lock: str = LOCK) -> str:
    """Return the command that takes the stream; what goes wrong with it comes by stderr."""
    return _START.format(state=state, lock=lock)


def _readable(node: str, blocks: Iterator[bytes], todo: Actions, packer: Packer) -> Iterator[bytes]:
    """Yield what is to be sent. What this machine can't read is no fault of the connection."""
    try:
        yield from blocks
    except (OSError, ArtifactChangedError) as error:
        packer.doubt([member.sha256 for member in todo.members if member.sha256])
        raise HostError(
            node,
            f"its files can't be packed on this machine: {error}",
            "check the files that `artifacts` names and the room in the cache folder, and run it"
            " again",
        ) from error


def _limit(host: _Target, plan: Plan) -> float:
    """Return the seconds the whole may take: the command's, join's, hooks', a slow link's."""
    resources = [change.resource for change in plan.changes]
    awaited = sum(
        r.timeout for r in resources if isinstance(r, ClientCertificate | Command | Trace)
    )
    large = sum(
        change.resource.source.stat().st_size
        for change in plan.changes
        if isinstance(change.resource, Binary | Image) and not change.copied_from
    )
    return host.command_timeout + awaited + large / _SLOWEST
