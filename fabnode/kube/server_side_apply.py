"""
Plan and apply of API objects by server-side apply, only where it would change something.

Whether it would is asked of the apiserver itself (`dryRun=All`), which knows defaults,
conversions and what others own; nothing is compared by guesswork. Before 1.16 there is no
server-side apply: a merge patch does the same for fields that are wanted, and leaves those that no
longer are. Before 1.13 there is no dry run either: what is wanted is compared with what is there.
"""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..releases.matrix import matrix
from .client import APPLY_PATCH, MERGE_PATCH, Api, ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..releases.version import Release
    from .client import Object

Way = Literal["apply", "merge", "compare"]

MANAGER = "fabnode"
_PARALLEL = 8
_FIRST = ("Namespace", "CustomResourceDefinition", "ServiceAccount", "ConfigMap", "Secret")
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """
    What applying an object would do.

    :param action: `create` or `update`.
    :param fields: the fields that would change, as dotted paths (for an update); of a Secret's
        data each with digests instead of values.
    """

    object: Object = field(repr=False)
    path: str
    action: str
    fields: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Kind and name, as in kubectl's output."""
        metadata = self.object["metadata"]
        space = f"{metadata['namespace']}/" if "namespace" in metadata else ""
        return f"{self.object['kind']} {space}{metadata['name']}"


def way(release: Release) -> Way:
    """Return how to apply objects to the apiserver of nodes of this release."""
    api, minor = matrix().api, release.minor
    if minor in api["server-side apply"]:
        return "apply"
    return "merge" if minor in api["dry run"] else "compare"


class Manifests:
    """
    Plans and applies objects; finds out by discovery where each kind lives.

    :param way: what the apiserver can do.
    """

    def __init__(self, api: Api, *, way: Way = "apply") -> None:
        self._api = api
        self._way = way
        self._kinds: dict[str, dict[str, tuple[str, bool]]] = {}

    def plan(self, objects: Sequence[Object]) -> tuple[ObjectChange, ...]:
        """Return what would change, in the order in which it has to be applied."""
        ordered = sorted(objects, key=lambda o: _order(o["kind"]))
        paths = [self._path(item) for item in ordered]
        with ThreadPoolExecutor(_PARALLEL) as pool:
            changes = pool.map(self._plan_one, ordered, paths)
            return tuple(change for change in changes if change)

    def apply(self, changes: Iterable[ObjectChange]) -> None:
        """Carry the changes out, kinds that others need first."""
        for change in changes:
            if change.action == "create" and self._way != "apply":
                self._api.create(change.path.rpartition("/")[0], change.object)
            else:
                self._patch(change.path, change.object, dry_run=False)

    def _plan_one(self, item: Object, path: str) -> ObjectChange | None:
        live = self._api.find(path)
        if live is None:
            return ObjectChange(item, path, "create", tuple(_secret_digests({}, item)))
        if self._way == "compare":
            wanted = {**live, **item}
            fields = differences(_settled(live), _settled(item), part=True)
        else:
            wanted = self._patch(path, item, dry_run=True)
            fields = differences(_settled(live), _settled(wanted))
        if not fields:
            return None
        if item["kind"] == "Secret":
            fields = [f for f in fields if not f.startswith("data")]
            fields += _secret_digests(live, wanted)
        return ObjectChange(item, path, "update", tuple(fields))

    def _patch(self, path: str, item: Object, *, dry_run: bool) -> Object:
        apply = self._way == "apply"
        query = {"fieldManager": MANAGER, "force": "true"} if apply else {}
        if dry_run:
            query["dryRun"] = "All"
        return self._api.patch(path, item, APPLY_PATCH if apply else MERGE_PATCH, **query)

    def _path(self, item: Object) -> str:
        version, kind, metadata = item["apiVersion"], item["kind"], item["metadata"]
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if base not in self._kinds:
            try:
                resources = self._api.get(base)["resources"]
            except ApiError as error:
                if error.status != _NOT_FOUND:
                    raise
                resources = []
            self._kinds[base] = {
                r["kind"]: (r["name"], r["namespaced"]) for r in resources if "/" not in r["name"]
            }
        if kind not in self._kinds[base]:
            message = f"this apiserver does not serve {version} {kind}"
            raise ApiError(_NOT_FOUND, "NotFound", message)
        plural, namespaced = self._kinds[base][kind]
        space = f"/namespaces/{metadata.get('namespace', 'default')}" if namespaced else ""
        return f"{base}{space}/{plural}/{metadata['name']}"


def differences(old: Any, new: Any, at: str = "", *, part: bool = False) -> list[str]:
    """
    Return the dotted paths at which two JSON values differ.

    :param part: `new` is only a part: what it does not name is no difference, nor is something
        empty that is not there (apiservers leave that out).
    """
    if part and old is None and not new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        found: list[str] = []
        for key in new if part else {**old, **new}:
            place = f"{at}.{key}" if at else str(key)
            found += differences(old.get(key), new.get(key), place, part=part)
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            p
            for i, pair in enumerate(zip(old, new, strict=True))
            for p in differences(*pair, f"{at}[{i}]", part=part)
        ]
    return [] if old == new else [at]


def _secret_digests(old: Object, new: Object) -> list[str]:
    """Return the changes of a Secret's data as digests (those of `sha256sum FILE`)."""
    if new["kind"] != "Secret":
        return []
    before, after = ({k: _digest(v) for k, v in (o.get("data") or {}).items()} for o in (old, new))
    return [
        f"data.{key} " + " → ".join(filter(None, (before.get(key), after.get(key, "none"))))
        for key in {**before, **after}
        if before.get(key) != after.get(key)
    ]


def _digest(value: str) -> str:
    return f"sha256:{hashlib.sha256(base64.b64decode(value)).hexdigest()[:12]}"


def _settled(item: Object) -> Object:
    """Return an object without what the apiserver writes by itself."""
    noise = {"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid"}
    metadata = {k: v for k, v in item["metadata"].items() if k not in noise}
    return {**{k: v for k, v in item.items() if k != "status"}, "metadata": metadata}


def _order(kind: str) -> int:
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST)
