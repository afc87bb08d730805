"""Owners of pods at the API: the chain of controllers above each, as far as it may be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kube import rbac_rules
from ..kube.client import ApiError
from ..upkeep.objects import controller
from ..upkeep.owners import Owner, tool_of
from . import run_rights

if TYPE_CHECKING:
    from ..kube.client import Api, Object
    from ..upkeep.owners import Chain

_LONGEST = 4
_NOT_FOUND = 404
_READ = {(r.group, r.resource) for r in run_rights.DRAIN if r.verbs == ("get",)}


class PodOwners:
    """Owners of pods; each is asked for once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[tuple[str, ...], tuple[Owner, Object]] = {}

    def chain(self, pod: Object) -> Chain:
        """Return the controllers above a pod, its own first."""
        namespace, item = str(pod["metadata"].get("namespace", "")), pod
        found: list[Owner] = []
        while len(found) < _LONGEST and (reference := controller(item)):
            owner, item = self._owner(namespace, reference)
            found.append(owner)
        return tuple(found)

    def _owner(self, namespace: str, reference: Object) -> tuple[Owner, Object]:
        """Return an owner with its object, which is empty where it can't be read."""
        keys = ("apiVersion", "kind", "name", "uid")
        version, kind, name, uid = (str(reference.get(key, "")) for key in keys)
        key = (namespace, version, kind, name, uid)
        if key not in self._known:
            resource = rbac_rules.plural(kind)
            of_kubernetes = (version.rpartition("/")[0], resource) in _READ
            base = f"/apis/{version}" if "/" in version else f"/api/{version}"
            path = f"{base}/namespaces/{namespace}/{resource}/{name}"
            item = self._read(path, uid) if of_kubernetes else None
            exists = None if item is None else bool(item)
            self._known[key] = (Owner(kind, name, exists, tool_of(item or {})), item or {})
        return self._known[key]

    def _read(self, path: str, uid: str) -> Object | None:
        """Return an owner, empty where it is gone; None: it can't be read."""
        try:
            found = self._api.get(path)
        except ApiError as error:
            return {} if error.status == _NOT_FOUND else None
        return found if found["metadata"].get("uid") == uid else {}  # another one has its name
