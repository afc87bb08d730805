"""
The ClusterRoleBinding by which kube-proxies have their rights under names of their own.

Its subjects are one list, for server-side apply too, which two deployers may change at once. Each
change therefore names the resourceVersion that it was made from: the apiserver refuses one that
others have overtaken, and it is made again from what is there then.

It also bears the nodes whose names a removal took out, with the days: that outlives the Node
objects, so that a node which comes back by its old certificate is known for what it is, and refused
where `removed_policy.py` is in force.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..kube.client import APPLY_PATCH, ApiError
from ..kube.server_side_apply import MANAGER, ObjectChange, Way
from ..pki import proxy_names
from ..steps import rbac
from ..util.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..kube.client import Api, Object

    Edit = Callable[[Object | None], tuple[list[Object], Mapping[str, str]] | None]

_ALL = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
PATH = f"{_ALL}/{rbac.PROXIES}"
TITLE = f"ClusterRoleBinding {rbac.PROXIES}"
RECORD = "fabnode.io/removed"
"""
Annotation of the binding: nodes whose names a removal took out of it, with the days.

JSON without blanks, for the apiserver's policy looks for a node's name in this very text.
"""

_REMEMBERED = 200  # of those nodes, the newest
_TRIES = 20  # each of them another's change
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def foreign(binding: Object | None) -> str:
    """Return that a binding of this name is nothing of ours, and so left alone; empty: it is."""
    role = binding["roleRef"]["name"] if binding else rbac.PROXY_ROLE
    return "" if role == rbac.PROXY_ROLE else f"the {TITLE} binds {role}, not {rbac.PROXY_ROLE}"


def users(binding: Object | None) -> frozenset[str]:
    """Return the names that are bound; none where there is no such binding of ours."""
    if binding is None or foreign(binding):
        return frozenset()
    subjects = binding.get("subjects") or ()
    return frozenset(str(each["name"]) for each in subjects if each.get("kind") == "User")


def removed(binding: Object | None) -> dict[str, str]:
    """Return the nodes whose names a removal took out and nobody has bound again, with the days."""
    if binding is None or foreign(binding):
        return {}
    annotations = (binding.get("metadata") or {}).get("annotations") or {}
    try:
        found = json.loads(annotations.get(RECORD) or "{}")
    except (TypeError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    there = users(binding)
    days = {node: day for node, day in found.items() if _DAY.fullmatch(str(day))}
    return {node: day for node, day in days.items() if proxy_names.own(node) not in there}


def read(api: Api) -> Object | None:
    """Return the binding; None where there is none."""
    return api.find(PATH)


def change(binding: Object | None, wanted: Iterable[str]) -> ObjectChange | None:
    """Return what binding these names as well would change; None: nothing."""
    new = sorted(set(wanted) - users(binding))
    if not new:
        return None
    if binding is None:
        return ObjectChange(rbac.of_proxies(new), PATH, "create")
    fields = tuple(f"subjects + {name}" for name in new)
    return ObjectChange(rbac.of_proxies(new), PATH, "update", fields)


def bind(api: Api, wanted: Iterable[str], *, way: Way, dry_run: bool = False) -> Object:
    """
    Bind these names as well as those that are bound; return the binding.

    :param dry_run: ask the apiserver alone whether it would do this.
    :raises ApiError: we may not do it, or there is one to another role, which nobody can change.
    """
    names = sorted(set(wanted))

    def edited(live: Object | None) -> tuple[list[Object], Mapping[str, str]] | None:
        new = [name for name in names if name not in users(live)]
        before = (live or {}).get("subjects") or []
        record = {n: day for n, day in removed(live).items() if proxy_names.own(n) not in names}
        if not new and record == removed(live):
            return None
        return [*before, *rbac.of_proxies(new)["subjects"]], record

    found = _edited(api, edited, way=way, dry_run=dry_run)
    assert found, "what is not there is made"
    return found


def unbind(api: Api, node: str) -> bool:
    """Take a node's name out of the binding, and record that; return whether it was there."""
    was_there, name = False, proxy_names.own(node)
    today = f"{datetime.now(UTC):%Y-%m-%d}"

    def edited(live: Object | None) -> tuple[list[Object], Mapping[str, str]] | None:
        nonlocal was_there
        if live is None or name not in users(live):
            return None
        was_there = True
        left = [s for s in live["subjects"] if (s.get("kind"), s["name"]) != ("User", name)]
        days = sorted({**removed(live), node: today}.items(), key=lambda item: item[1])
        return left, dict(days[-_REMEMBERED:])

    _edited(api, edited)
    return was_there


def readmit(api: Api, node: str) -> None:
    """Take a node out of the record of those that were removed; its rights are another matter."""

    def edited(live: Object | None) -> tuple[list[Object], Mapping[str, str]] | None:
        record = removed(live)
        if live is None or record.pop(node, None) is None:
            return None
        return live.get("subjects") or [], record

    _edited(api, edited)


def _edited(
    api: Api,
    edit: Edit,
    *,
    way: Way | None = None,
    dry_run: bool = False,
) -> Object | None:
    """
    Change subjects and record as `edit` says, which returns None where they are right.

    :param way: how one that is missing is made; None: it is not.
    """
    query = {"dryRun": "All"} if dry_run else {}
    for _ in range(_TRIES):
        live = read(api)
        if (wanted := edit(live)) is None:
            return live
        try:
            if live is None:
                if way is None:
                    return None
                live = _made(api, way, query)
                if dry_run or (wanted := edit(live)) is None:
                    return live
            return api.patch(PATH, _body(live, *wanted), **query)
        except ApiError as error:
            if not error.is_conflict:
                raise
    raise ClusterError(f"the {TITLE} is changed by somebody else all the time")


def _body(live: Object, subjects: list[Object], record: Mapping[str, str]) -> Object:
    """Return the merge patch that leaves a binding with these."""
    metadata: Object = {"resourceVersion": live["metadata"]["resourceVersion"]}
    if record != removed(live):
        text = json.dumps(record, sort_keys=True, separators=(",", ":")) if record else None
        metadata["annotations"] = {RECORD: text}
    role = rbac.of_proxies(())["roleRef"]
    return {"metadata": metadata, "roleRef": role, "subjects": subjects}


def _made(api: Api, way: Way, query: dict[str, str]) -> Object:
    """
    Make the binding without subjects; return it, with those that it has by then.

    Applied like that it takes no subject away from one that another deployer has made meanwhile;
    and what is made by applying it can be limited by name in an account's rights.
    """
    skeleton = rbac.of_proxies(())
    del skeleton["subjects"]
    if way != "apply":
        return api.create(_ALL, skeleton)
    query = {**query, "fieldManager": MANAGER, "force": "true"}
    return api.patch(PATH, skeleton, APPLY_PATCH, **query)
