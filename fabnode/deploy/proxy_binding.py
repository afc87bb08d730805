"""
The ClusterRoleBinding by which kube-proxies have their rights under names of their own.

Its subjects are one list, for server-side apply too, which two deployers may change at once. Each
change therefore names the resourceVersion that it was made from: the apiserver refuses one that
others have overtaken, and it is made again from what is there then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kube.client import APPLY_PATCH, ApiError
from ..kube.server_side_apply import MANAGER, ObjectChange, Way
from ..steps import rbac
from ..util.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..kube.client import Api, Object

_ALL = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
PATH = f"{_ALL}/{rbac.PROXIES}"
TITLE = f"ClusterRoleBinding {rbac.PROXIES}"
_TRIES = 20  # each of them another's change


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

    def edited(live: Object | None) -> list[Object] | None:
        new = [name for name in names if name not in users(live)]
        before = (live or {}).get("subjects") or []
        return [*before, *rbac.of_proxies(new)["subjects"]] if new else None

    found = _edited(api, edited, way=way, dry_run=dry_run)
    assert found, "what is not there is made"
    return found


def unbind(api: Api, name: str) -> bool:
    """Take a name out of the binding; return whether it was there."""
    was_there = False

    def edited(live: Object | None) -> list[Object] | None:
        nonlocal was_there
        if live is None or name not in users(live):
            return None
        was_there = True
        return [s for s in live["subjects"] if (s.get("kind"), s["name"]) != ("User", name)]

    _edited(api, edited)
    return was_there


def _edited(
    api: Api,
    edit: Callable[[Object | None], list[Object] | None],
    *,
    way: Way | None = None,
    dry_run: bool = False,
) -> Object | None:
    """
    Change the subjects as `edit` says, which returns None where they are right.

    :param way: how one that is missing is made; None: it is not.
    """
    query = {"dryRun": "All"} if dry_run else {}
    for _ in range(_TRIES):
        live = read(api)
        if (subjects := edit(live)) is None:
            return live
        try:
            if live is None:
                if way is None:
                    return None
                live = _made(api, way, query)
                if dry_run or (subjects := edit(live)) is None:
                    return live
            version = live["metadata"]["resourceVersion"]
            body = {
                "metadata": {"resourceVersion": version},
                "roleRef": rbac.of_proxies(())["roleRef"],
                "subjects": subjects,
            }
            return api.patch(PATH, body, **query)
        except ApiError as error:
            if not error.is_conflict:
                raise
    raise ClusterError(f"the {TITLE} is changed by somebody else all the time")


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
