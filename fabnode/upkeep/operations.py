"""
The operation in progress on a node, recorded in one Node annotation together with the cordon.

It does not lock (that is the run's Lease, which has a holder and an end); it tells any deployer
what was begun, by whom, since when, and who owns the cordon. A node may write its own annotations
and may also uncordon itself: trusting this record gives a node nothing that it did not have.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args

from ..util.own_names import NODE_OPERATION as KEY
from .objects import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .objects import Object

MANAGER = "fabnode"  # of fields that we write: the apiserver takes it from the User-Agent
_LARGEST = 4096
NO_LABELS: Mapping[str, str | None] = MappingProxyType({})

# Of a Node that load balancers of a cloud leave out (kubernetes, its cloud provider's controller).
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
REMOVED = "fabnode.io/removed"  # taint of a node that is locked out
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"  # of one whose pods are declared dead
_TEXTS = ("phase", "by", "since", "boot", "kernel", "command")
_EMPTIES = frozenset({"drain", "maintain", "upgrade", "remove"})

SOAKING = "soaking"  # phase in which a node takes pods, and the operation goes on

What = Literal["cordon", "drain", "maintain", "upgrade", "remove"]
WHATS: frozenset[str] = frozenset(get_args(What))


@dataclass(frozen=True, slots=True)
class Operation:
    """
    What was begun on a node.

    :param phase: how far it is; each is written before it is begun.
    :param by: user and host of the deployer. :param since: when it began, RFC 3339.
    :param cordons: the cordon is this operation's; False: the node was cordoned before.
    :param boot: boot id before a reboot. :param kernel: the release that is to run after it.
    :param before: operation that ours began within, such as a drain by hand.
    :param excluded: it took the node out of load balancers that choose nodes: kube-proxy goes on
        telling them that it is healthy while a node is drained.
    :param command: digest of the command that has run in place of a reboot.
    :param out_of_service: of a removal: the taint of that name is its own. None: it set none.
    :param drained: of an upgrade: its pods leave before anything is changed. None: not recorded, as
        by a fabnode that did not know this field. :param ends_pods: likewise: the node's own end.
    """

    what: What
    phase: str
    by: str
    since: str
    cordons: bool
    boot: str = ""
    kernel: str = ""
    before: Operation | None = None
    excluded: bool = False
    command: str = ""
    drained: bool | None = None
    ends_pods: bool | None = None
    out_of_service: bool | None = None

    @property
    def text(self) -> str:
        """What it is and how far, by whom and since when, in a line."""
        return f"{self.what} ({self.phase}) {self.origin}"

    @property
    def origin(self) -> str:
        """By whom it was begun, and when."""
        return f"by {self.by} since {self.since[:19].replace('T', ' ')} UTC"

    def to_json(self) -> str:
        """Return it as the annotation holds it."""
        return json.dumps(_without_empty(asdict(self)), sort_keys=True, separators=(",", ":"))

    @property
    def chain(self) -> tuple[Operation, ...]:
        """It, and those that it began within: of these it is the last."""
        return (self, *(self.before.chain if self.before else ()))

    def without(self, what: What) -> Operation:
        """Return it as if it had begun within none of a kind, whose cordon is its own then."""
        inner = self.before
        if inner is None:
            return self
        if inner.what != what:
            return replace(self, before=inner.without(what))
        cordons, excluded = self.cordons or inner.cordons, self.excluded or inner.excluded
        return replace(self, cordons=cordons, excluded=excluded, before=inner.before).without(what)


def read(live: Object) -> Operation | None:
    """Return what a Node's annotation tells; None where there is none, or none of ours."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(KEY)
    if not isinstance(text, str) or len(text) > _LARGEST:
        return None
    try:
        return _parsed(json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _parsed(found: object, depth: int = 0) -> Operation:
    if not isinstance(found, dict):
        raise TypeError("not an operation")
    texts = {key: line(found.get(key)) for key in _TEXTS}
    # A maintenance within an upgrade within a drain, or the other way round.
    if found["what"] not in WHATS or depth > 2:
        raise ValueError("not an operation of this release")
    before = found.get("before")
    return Operation(
        what=found["what"],
        cordons=found["cordons"] is True,
        before=_parsed(before, depth + 1) if before else None,
        excluded=found.get("excluded") is True,
        drained=_known_bool(found.get("drained")),
        ends_pods=_known_bool(found.get("ends_pods")),
        out_of_service=_known_bool(found.get("out_of_service")),
        **texts,
    )


def _known_bool(found: object) -> bool | None:
    return found if isinstance(found, bool) else None


def is_cordoned(live: Object) -> bool:
    """Return whether a Node takes no new pods."""
    return bool((live.get("spec") or {}).get("unschedulable"))


def is_own_cordon(live: Object) -> bool:
    """
    Return whether a Node's cordon is fabnode's: by the record, and by who wrote the field last.

    An administrator who lifted ours and cordoned the node again owns that field, and the cordon.
    Apiservers before 1.18 tell no owners of fields.
    """
    found = read(live)
    if not is_cordoned(live) or found is None:
        return False
    return _cordons(found) and cordoned_by(live) in {"", MANAGER}


def interrupted(live: Object, what: What) -> Operation | None:
    """
    Return the interrupted operation of this kind that goes on with a node; None: there is none.

    Where others have lifted its cordon, whatever came since is not known to it, so that it is over,
    whether they have set one of theirs or not.
    """
    found = read(live)
    if found is None or found.what != what or _taken_over(live):
        return None
    return found if is_cordoned(live) or found.phase == SOAKING else None


def _taken_over(live: Object) -> bool:
    """Return whether a cordon that the record has as fabnode's is another's by now."""
    found = read(live)
    if not is_cordoned(live) or found is None:
        return False
    return _cordons(found) and not is_own_cordon(live)


def _cordons(found: Operation) -> bool:
    """Return whether the record has the cordon as fabnode's, by any of its operations."""
    return any(each.cordons for each in found.chain)


def is_left_excluded(live: Object) -> bool:
    """
    Return whether external load balancers leave a node out that takes pods again.

    So it is where others have lifted fabnode's cordon, with which that label came.
    """
    labels = (live.get("metadata") or {}).get("labels") or {}
    return _excludes(live) and EXCLUDED in labels and not is_cordoned(live)


def _excludes(live: Object) -> bool:
    """Return whether by its record fabnode has load balancers leave a node out."""
    found = read(live)
    return found is not None and any(each.excluded for each in found.chain)


def is_locked_out(live: Object) -> bool:
    """Return whether a removal has begun to keep a Node away from the cluster."""
    found = read(live)
    taints = (live.get("spec") or {}).get("taints") or ()
    return (found is not None and found.what == "remove") or any(
        taint.get("key") == REMOVED for taint in taints
    )


def cordoned_by(live: Object) -> str:
    """Return the program that wrote the cordon last; empty: unknown."""
    return _writer(live, "f:unschedulable")


def tainted_by(live: Object) -> str:
    """Return the program that wrote a Node's taints last; empty: unknown."""
    return _writer(live, "f:taints")


def _writer(live: Object, field: str) -> str:
    for entry in (live.get("metadata") or {}).get("managedFields") or ():
        if field in ((entry.get("fieldsV1") or {}).get("f:spec") or {}):
            return line(entry.get("manager"))
    return ""


def whose(live: Object) -> str:
    """Return the owner of a Node's cordon, in a line; empty: it has none."""
    if not is_cordoned(live):
        return ""
    if (found := read(live)) and is_own_cordon(live):
        return f"ours: {found.text}"
    who = cordoned_by(live)
    return "somebody else's" + (f", written by {who}" if who else "")


def own_cordon(live: Object) -> str:
    """Return the owner of a Node's cordon where that is fabnode; empty: another, or no cordon."""
    return whose(live) if is_own_cordon(live) else ""


def begun(live: Object, wanted: Operation) -> Operation:
    """
    Return the operation as it begins on a node as it is, or goes on there.

    A drain takes over a cordon of `inv cordon`, and ends with it; a maintenance or an upgrade
    leaves both as it found them, and so does everything with a cordon that is somebody else's.

    :param wanted: what it would be on a node that nobody has touched.
    """
    found, own = read(live), is_own_cordon(live)
    known = EXCLUDED in ((live.get("metadata") or {}).get("labels") or {})
    # An operation that is over, or that this one takes the place of, can't take its label any more.
    left = known and _excludes(live)
    wanted = replace(wanted, excluded=left or (wanted.what in _EMPTIES and not known))
    if not is_cordoned(live):
        return wanted
    if found and found.what == wanted.what and not _taken_over(live):
        return replace(found, phase=wanted.phase)
    if not own:
        # A drain ends by lifting the cordon, but this one is not fabnode's.
        excluded = left or (wanted.excluded and wanted.what != "drain")
        return replace(wanted, cordons=False, excluded=excluded)
    if found and wanted.what in {"maintain", "upgrade"}:
        excluded = wanted.excluded and not left  # what it began within takes it
        return replace(wanted, cordons=False, excluded=excluded, before=found.without(wanted.what))
    return found if found and wanted.what == "cordon" else wanted


def held(live: Object, operation: Operation) -> Operation:
    """
    Return an operation as it goes on with a node, which it has to keep cordoned.

    Where it began under another's cordon, and that was lifted since, the cordon is its own from now
    on: nobody else would lift it.
    """
    if operation.cordons or is_cordoned(live):
        return operation
    excluded = any(each.excluded for each in operation.chain)
    return replace(operation, cordons=True, excluded=excluded, before=None)


def begin_patch(live: Object, operation: Operation) -> Object | None:
    """Return the patch that cordons a node and records why, in one write; None: it is cordoned."""
    excludes = operation.excluded and EXCLUDED not in (live["metadata"].get("labels") or {})
    if is_cordoned(live) and _annotation(live) == operation.to_json() and not excludes:
        return None
    spec = {} if is_cordoned(live) else {"unschedulable": True}
    return _patch(live, operation.to_json(), spec, {EXCLUDED: "true"} if excludes else {})


def open_patch(live: Object, operation: Operation, opened: Operation) -> Object | None:
    """
    Return the patch that lets a node take pods while the operation goes on; None: it takes them.

    :param opened: the operation as it is recorded from then on.
    """
    labels = {EXCLUDED: None} if operation.excluded else {}
    lifts = operation.cordons and is_own_cordon(live)
    if not lifts and _annotation(live) == opened.to_json():
        return None
    return _patch(live, opened.to_json(), {"unschedulable": None} if lifts else {}, labels)


def end_patch(live: Object, operation: Operation) -> Object | None:
    """
    Return the patch that ends an operation: a Node as it was before; None: it has ended.

    :param operation: as it began; what it did not cordon, it does not uncordon.
    """
    labels = {EXCLUDED: None} if operation.excluded else {}
    if operation.cordons and is_own_cordon(live):
        return _patch(live, None, {"unschedulable": None}, labels)
    earlier = operation.before.to_json() if operation.before else None
    return None if _annotation(live) == earlier else _patch(live, earlier, {}, labels)


def uncordon_patch(live: Object) -> Object | None:
    """Return the patch that lifts fabnode's cordon, and its record; None: there is neither."""
    labels = {EXCLUDED: None} if _excludes(live) else {}
    own, lifted = is_own_cordon(live), own_taints(live)
    spec: Object = {"unschedulable": None} if own else {}
    if lifted:
        spec["taints"] = [taint for taint in _taints(live) if taint.get("key") not in lifted]
    if own or (not is_cordoned(live) and (lifted or _annotation(live) is not None)):
        return _patch(live, None, spec, labels)
    return None


def ends_with(live: Object) -> str:
    """Return what ends where fabnode's cordon of a Node is lifted, in a line."""
    found, taints = read(live), own_taints(live)
    texts = [found.text] if found else []
    if found is None and _annotation(live) is not None:
        texts.append("a record that nobody reads any more")
    if taints:
        texts.append(f"the taint{'s' * (len(taints) > 1)} {' and '.join(taints)}")
    return ", ".join(texts)


def own_taints(live: Object) -> tuple[str, ...]:
    """Return the keys of taints on a Node by which a removal of ours keeps pods away."""
    found = read(live)
    own = {REMOVED}
    if found and found.what == "remove" and found.out_of_service:
        own.add(OUT_OF_SERVICE)
    return tuple(sorted(own & {str(taint.get("key")) for taint in _taints(live)}))


def is_declared_dead(live: Object) -> bool:
    """Return whether a Node bears the taint out-of-service, whoever set it."""
    return any(taint.get("key") == OUT_OF_SERVICE for taint in _taints(live))


def _taints(live: Object) -> list[Object]:
    return (live.get("spec") or {}).get("taints") or []


def taint_patch(live: Object, key: str, effects: Iterable[str], value: str = "") -> Object | None:
    """Return the merge patch that gives a Node these taints of a key; None: it has them."""
    taints = (live.get("spec") or {}).get("taints") or []
    own = {"key": key, **({"value": value} if value else {})}
    wanted = [{**own, "effect": effect} for effect in effects]
    found = [taint for taint in taints if taint.get("key") == key]
    if [_known(taint) for taint in found] == [_known(taint) for taint in wanted]:
        return None
    others = [taint for taint in taints if taint.get("key") != key]
    version = live["metadata"]["resourceVersion"]
    return {"metadata": {"resourceVersion": version}, "spec": {"taints": [*others, *wanted]}}


def _without_empty(found: dict[str, object]) -> dict[str, object]:
    """Return an operation's fields without empty ones."""
    inner = found["before"]
    fields = {**found, "before": _without_empty(inner) if isinstance(inner, dict) else None}
    empty = {key for key, value in fields.items() if value in ("", None)}
    empty |= set() if found["excluded"] else {"excluded"}
    return {key: value for key, value in fields.items() if key not in empty}


def _known(taint: Object) -> tuple[object, ...]:
    return tuple(taint.get(part) for part in ("key", "value", "effect"))


def _annotation(live: Object) -> object:
    return (live["metadata"].get("annotations") or {}).get(KEY)


def _patch(
    live: Object, record: str | None, spec: Object, labels: Mapping[str, str | None] = NO_LABELS
) -> Object:
    metadata = {
        "annotations": {KEY: record},
        **({"labels": dict(labels)} if labels else {}),
        "resourceVersion": live["metadata"]["resourceVersion"],
    }
    return {"metadata": metadata, **({"spec": spec} if spec else {})}
