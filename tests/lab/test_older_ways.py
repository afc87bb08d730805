"""
What older apiservers are spoken to with, tried on a newer one that understands it as well.

No apiserver before 1.20 is in the lab. Merge patches and dry runs, though, are the same in all of
them, and what they leave must be just what server-side apply would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fabnode.artifacts import cni_manifest
from fabnode.config import loader
from fabnode.kube import bootstrap_tokens
from fabnode.kube.client import Api
from fabnode.kube.kubeconfig import load
from fabnode.kube.server_side_apply import Manifests, Way
from fabnode.steps import rbac

if TYPE_CHECKING:
    from .harness import Lab

BINDING = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/fabnode:node-bootstrapper"


@pytest.mark.parametrize("way", ["merge", "compare"])
def test_objects_without_server_side_apply(cluster: Lab, way: Way) -> None:
    """Nothing to do where apply has done it; what is spoiled or missing is put right, once."""
    api = Api(load(cluster.layout.kubeconfig), patience=30)
    configured = loader.load(cluster.layout.configuration)
    wanted = [*cni_manifest.objects(configured), *rbac.objects("Group", bootstrap_tokens.GROUP)]
    assert len(wanted) > 30
    by_way, applied = Manifests(api, way=way), Manifests(api)

    def planned(manifests: Manifests) -> list[tuple[Any, ...]]:
        return [(change.action, change.path, *change.fields) for change in manifests.plan(wanted)]

    assert planned(by_way) == []
    stranger = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "strangers"}
    api.patch(BINDING, {"subjects": [stranger]})
    assert planned(by_way) == [("update", BINDING, "subjects[0].name")]
    by_way.apply(by_way.plan(wanted))
    assert planned(by_way) == planned(applied) == []
    api.delete(BINDING)
    assert planned(by_way) == [("create", BINDING)]
    by_way.apply(by_way.plan(wanted))
    assert planned(by_way) == []
    applied.apply(applied.plan(wanted))  # owned by fabnode again, as the other tests want it
