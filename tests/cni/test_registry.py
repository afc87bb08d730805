"""One network is asked for, or none; no other module knows them by name."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from fabnode.artifacts import cni_manifest
from fabnode.cni.protocol import Cni, Reader
from fabnode.cni.registry import NETWORKS, network
from fabnode.steps import kernel
from tests.support import make_config

PACKAGE = Path(__file__).parents[2] / "fabnode"

# Who may name Calico: its module and its line; its settings; its release data and what shows that;
# what an audit knows of folders and units of other installers.
NAMES_CALICO = {
    "artifacts/errors.py",
    "cli/commands/versions.py",
    "cni/calico.py",
    "cni/calico_families.py",
    "cni/calico_health.py",
    "cni/calico_ipam.py",
    "cni/calico_manifest.py",
    "cni/calico_pools.py",
    "cni/registry.py",
    "config/address_families.py",
    "config/configuration.py",
    "config/cross_checks.py",
    "config/fields.py",
    "config/file_checks.py",
    "config/loader.py",
    "config/pydantic_errors.py",
    "config/schema.py",
    "config/sections.py",
    "config/starter.py",  # which configures the network that it found
    "deploy/chosen_networks.py",  # whose range is not one that networks come with
    "deploy/discovery.py",  # which asks for pools
    "deploy/found_networks.py",  # which reads pools
    "deploy/found_pod_network.py",  # which looks for networks of any maker
    "deploy/found_artifacts.py",  # which reads the releases of what lies in a folder
    "deploy/network_policies.py",  # whose policies may keep pods apart
    "config/imports/k0sctl.py",
    "config/imports/kubeasz.py",
    "config/imports/kubespray.py",
    "config/imports/outcome.py",
    "releases/compatibility.py",
    "releases/matrix.py",
    "releases/version.py",
    "remote/examine.py",
    "remote/host_identity.py",  # whose interfaces of pods are no addresses of a host
    "remote/search_roots.py",
    "steps/pod_network.py",
    "tasks.py",
}


def test_no_other_module_names_calico() -> None:
    """Comments and docstrings count: a second network would make them false."""
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search("calico", path.read_text(), re.IGNORECASE)
    }
    assert found == NAMES_CALICO


class Silent(Reader):
    """An API of which nothing is to be asked."""

    def get(self, path: str, **query: str) -> dict[str, Any]:
        raise AssertionError(path)

    def find(self, path: str) -> dict[str, Any] | None:
        raise AssertionError(path)


def test_without_a_network_nothing_is_installed_asked_or_waited_for(tmp_path: Path) -> None:
    config = make_config(tmp_path, calico={"enabled": False})
    none = network(config)
    assert none.name == ""
    assert none.not_ready(Silent(), ["n1"]) is None
    assert cni_manifest.objects(config) == ()
    assert (none.objects(b"", (), {}), none.images(()), none.secret(())) == ((), [], b"")
    assert (none.first_images, none.next_images, none.rights) == ((), (), ())
    assert none.with_manifest(tmp_path) is config
    assert not {"vxlan", "ipip"} & kernel.modules(config, config.nodes[0]).keys()


@pytest.mark.parametrize(
    ("settings", "module"),
    [
        ({}, "vxlan"),
        ({"backend": "bird"}, "ipip"),
        ({"backend": "bird", "encapsulation": "Never"}, ""),
    ],
)
def test_calico_is_the_network_unless_it_is_switched_off(
    settings: dict[str, Any], module: str
) -> None:
    config = make_config(calico=settings)
    found = network(config)
    assert found.name == "Calico"
    assert set(found.kernel_modules) == ({module} if module else set())


@pytest.mark.parametrize("known", [*NETWORKS, type(network(make_config(calico="none")))])
def test_each_network_has_all_of_the_interface(known: Any) -> None:
    """A cluster is all that is needed to make one."""
    made = known(make_config())
    for name in [n for n, _ in inspect.getmembers(Cni) if not n.startswith("_")]:
        assert hasattr(made, name), name


def test_the_wait_goes_by_what_the_network_reads() -> None:
    asked: list[str] = []

    class Api(Silent):
        def get(self, path: str, **query: str) -> dict[str, Any]:
            asked.append(path)
            return {"items": []}

        def find(self, path: str) -> dict[str, Any] | None:
            asked.append(path)
            return None

    missing = network(make_config()).not_ready(Api(), ["n1"])
    assert missing == "calico-node is not ready on n1"
    assert [path.rpartition("/")[2] for path in asked] == [
        "calico-kube-controllers",
        "calico-node",
        "pods",
    ]


@pytest.mark.parametrize(
    ("everywhere", "asked", "queries"),
    [
        (500, 3, 1),  # one page has all
        (5000, 3, 1 + 3),  # a request for each node, and one for the controllers
        (5000, 101, 1),  # more than ten pages are worth
    ],
)
def test_few_nodes_of_a_large_cluster_are_asked_for_one_by_one(
    everywhere: int, asked: int, queries: int
) -> None:
    selectors: list[dict[str, str]] = []

    class Api(Silent):
        def get(self, path: str, **query: str) -> dict[str, Any]:
            if path.endswith("/pods"):
                selectors.append(query)
            return {"items": []}

        def find(self, path: str) -> dict[str, Any] | None:
            return {"metadata": {}, "status": {"desiredNumberScheduled": everywhere}}

    nodes = [f"n{number}" for number in range(asked)]
    assert network(make_config()).not_ready(Api(), nodes)
    assert len(selectors) == queries
    by_node = [query["fieldSelector"] for query in selectors if "fieldSelector" in query]
    assert by_node == ([f"spec.nodeName={node}" for node in nodes] if queries > 1 else [])
