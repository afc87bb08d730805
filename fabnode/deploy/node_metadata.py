"""
Labels, annotations and taints of a Node: set as configured, removed when no longer configured.

Only what fabnode itself set goes, and only where it still is as it was set. What that is, a record
on the Node holds: an annotation, which needs no further rights and ends with the Node.

A kubelet may write its own annotations. A record that it forged could have us remove the taint
or the reserved label that keeps pods off a captured host, which it may not do itself; so a record
counts only with its seal, a label that the API lets no kubelet set (admission NodeRestriction, on
`node-restriction.kubernetes.io/`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..util.own_names import NODE_RECORD, NODE_SEAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.configuration import Node
    from ..kube.client import Object

_SEAL_DIGITS = 40  # a label's value holds 63 characters
_SHOWN = 63
_BARE: Object = {"metadata": {}}


@dataclass(frozen=True, slots=True)
class _Marks:
    """Values of labels and annotations by key, and of taints by `key:Effect`."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: Mapping[str, str] = field(default_factory=dict)


def patch(live: Object, node: Node) -> Object | None:
    """
    Return the merge patch that sets a Node's metadata and taints as configured, or None.

    It holds only for the Node as it was seen (resourceVersion): what others write meanwhile must
    not get lost.
    """
    labels, annotations, taints = _changes(live, node)
    record = _record(_configured(node))
    labels |= _unequal({NODE_SEAL: _seal(record, node.name)}, _found(live).labels)
    annotations |= _unequal({NODE_RECORD: record}, _found(live).annotations)
    metadata = {"labels": labels, "annotations": annotations}
    made: Object = {"metadata": {key: value for key, value in metadata.items() if value}}
    if taints:
        kept = [taint for taint in _taints(live) if _at(taint) not in taints]
        new = [_taint(at, value) for at, value in taints.items() if value is not None]
        made["spec"] = {"taints": kept + new}
    if made == {"metadata": {}}:
        return None
    made["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    return made


def changes(live: Object | None, node: Node) -> tuple[str, ...]:
    """
    Return what `patch` would change, as kubectl writes it: `disk=ssd`, `taint a:NoExecute`.

    :param live: None where there is no Node yet.
    """
    labels, annotations, taints = _changes(live or _BARE, node)
    lines = (
        *(_format(key, value) for key, value in labels.items()),
        *(f"annotation {_format(key, _short(value))}" for key, value in annotations.items()),
        *(f"taint {_format_taint(at, value)}" for at, value in taints.items()),
    )
    if not live:
        at_start = _at_registration(node).items()
        lines += tuple(f"taint {_format_taint(*each)} as it registers" for each in at_start)
    if not lines and live and patch(live, node):
        return ("fabnode's record of labels and taints",)
    return lines


def _at_registration(node: Node) -> Mapping[str, str]:
    return {f"{taint.key}:{taint.effect}": taint.value for taint in node.startup_taints}


def _changes(
    live: Object, node: Node
) -> tuple[dict[str, str | None], dict[str, str | None], dict[str, str | None]]:
    """Return by key, of labels, annotations and taints, the value to be set; None: remove."""
    wanted, found, ours = _configured(node), _found(live), _recorded(live)
    # One that was configured to stay, and now is a startup taint, is no longer ours to take off.
    others = _at_registration(node)
    kept = {at: value for at, value in ours.taints.items() if at not in others}
    return (
        _changed(wanted.labels, found.labels, ours.labels),
        _changed(wanted.annotations, found.annotations, ours.annotations),
        _changed(wanted.taints, found.taints, kept),
    )


def _changed(
    wanted: Mapping[str, str], found: Mapping[str, str], ours: Mapping[str, str]
) -> dict[str, str | None]:
    gone = {k: None for k, v in ours.items() if k not in wanted and found.get(k) == v}
    return {**_unequal(wanted, found), **gone}


def _unequal(
    wanted: Mapping[str, str | None] | Mapping[str, str], found: Mapping[str, str]
) -> dict[str, str | None]:
    return {key: value for key, value in wanted.items() if found.get(key) != value}


def _configured(node: Node) -> _Marks:
    taints = {f"{taint.key}:{taint.effect}": taint.value for taint in node.taints}
    return _Marks(node.labels, node.annotations, taints)


def _found(live: Object) -> _Marks:
    metadata = live["metadata"]
    return _Marks(
        metadata.get("labels") or {},
        metadata.get("annotations") or {},
        {_at(taint): taint.get("value", "") for taint in _taints(live)},
    )


def _recorded(live: Object) -> _Marks:
    """Return what fabnode set on a Node; nothing where the record is not its own."""
    found = _found(live)
    record = found.annotations.get(NODE_RECORD)
    seal = found.labels.get(NODE_SEAL)
    if record is None or seal != _seal(record, live["metadata"]["name"]):
        return _Marks()
    return _Marks(**json.loads(record))  # sealed: it is what `_record` wrote


def _record(marks: _Marks) -> str | None:
    kept = {kind: dict(values) for kind, values in asdict(marks).items() if values}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")) if kept else None


def _seal(record: str | None, name: str) -> str | None:
    """Return what proves a record; it holds for the Node of this name alone."""
    if record is None:
        return None
    return hashlib.sha256(f"{name}\n{record}".encode()).hexdigest()[:_SEAL_DIGITS]


def _taints(live: Object) -> list[dict[str, Any]]:
    return list((live.get("spec") or {}).get("taints") or ())


def _at(taint: Mapping[str, Any]) -> str:
    return f"{taint['key']}:{taint['effect']}"


def _taint(at: str, value: str) -> dict[str, str]:
    key, _, effect = at.rpartition(":")
    return {"key": key, "value": value, "effect": effect}


def _format(key: str, value: str | None) -> str:
    return f"{key}-" if value is None else f"{key}={value}"


def _short(value: str | None) -> str | None:
    """Return an annotation's value where it is as short and plain as a label's."""
    plain = value is None or (len(value) <= _SHOWN and value.isprintable())
    return value if plain else f"({len(value or '')} characters)"


def _format_taint(at: str, value: str | None) -> str:
    key, _, effect = at.rpartition(":")
    return f"{at}-" if value is None else f"{key}={value}:{effect}" if value else at
