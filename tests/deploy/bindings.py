"""An apiserver that has the binding of kube-proxies, or will."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from fabnode.deploy import proxy_binding
from fabnode.kube.client import APPLY_PATCH, MERGE_PATCH, ApiError
from fabnode.steps import rbac

if TYPE_CHECKING:
    from collections.abc import Callable

Object = dict[str, Any]
OWN = "system:kube-proxy:"
FORBIDDEN = ApiError(403, "Forbidden", "no")


class Bindings:
    """
    Answers as an apiserver does: conflicts by resourceVersion, dry runs, server-side apply.

    :ivar live: the binding; None: there is none. :ivar did: what was asked, in order.
    :ivar before_write: called before each write, as another deployer that is quicker.
    :ivar refused: what is answered with 403: `get`, `patch`, `create`.
    :ivar allowed: what a SubjectAccessReview answers, in order, the last one again and again.
    """

    def __init__(self, *names: str, live: bool = True) -> None:
        self.live: Object | None = None
        self.version = 1
        if live:
            self.put(*names)
        self.did: list[str] = []
        self.before_write: Callable[[], None] = lambda: None
        self.refused: set[str] = set()
        self.allowed = [True]

    def put(self, *names: str, annotations: Object | None = None) -> None:
        self.version += 1
        made = rbac.of_proxies(f"{OWN}{name}" for name in names)
        kept = (self.live or {}).get("metadata", {}).get("annotations", {}) | (annotations or {})
        made["metadata"] = {
            **made["metadata"],
            "annotations": {key: text for key, text in kept.items() if text is not None},
            "resourceVersion": str(self.version),
        }
        self.live = made

    @property
    def bound(self) -> list[str]:
        subjects = (self.live or {}).get("subjects") or ()
        return [each["name"].removeprefix(OWN) for each in subjects]

    def find(self, path: str) -> Object | None:
        assert path == proxy_binding.PATH
        self._ask("get")
        return deepcopy(self.live)

    def create(self, path: str, body: Object) -> Object:
        if path.endswith("/subjectaccessreviews"):
            self.did.append(f"may {body['spec']['user']}")
            allowed = self.allowed.pop(0) if len(self.allowed) > 1 else self.allowed[0]
            return {"status": {"allowed": allowed}}
        self._ask("create")
        self.before_write()
        if self.live is not None:
            raise ApiError(409, "AlreadyExists", "exists")
        self.put()
        return deepcopy(self.live or {})

    def patch(self, path: str, body: Object, kind: str = MERGE_PATCH, **query: str) -> Object:
        assert path == proxy_binding.PATH
        dry = query.get("dryRun") == "All"
        self._ask("try" if dry else "patch")
        self.before_write()
        if kind == APPLY_PATCH:
            assert query["fieldManager"] == "fabnode"
            assert "subjects" not in body, "it would take others' away"
            if self.live is None and not dry:
                self.put()
            return deepcopy(self.live or body)
        assert self.live, "404"
        if body["metadata"]["resourceVersion"] != self.live["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "the object has been modified")
        if body["roleRef"] != self.live["roleRef"]:
            raise ApiError(422, "Invalid", "cannot change roleRef")
        if not dry:
            names = (each["name"].removeprefix(OWN) for each in body["subjects"])
            self.put(*names, annotations=body["metadata"].get("annotations"))
        return {**deepcopy(self.live), "subjects": body["subjects"]}

    def _ask(self, what: str) -> None:
        self.did.append(what)
        if ("patch" if what == "try" else what) in self.refused:
            raise FORBIDDEN
