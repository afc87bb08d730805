"""Rights of kube-proxies are taken back by name, unless the node may be one still."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fabnode.deploy import forgetting, proxy_binding
from fabnode.deploy.errors import MissingRightsError
from fabnode.pki import proxy_names
from tests.upkeep.pods import node

from .bindings import OWN
from .nodes_in_use import Scene, with_binding

if TYPE_CHECKING:
    from .bindings import Bindings

LONG = "a" * 60


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


@pytest.fixture
def bindings(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Bindings:
    long = proxy_names.own(LONG).removeprefix(OWN)
    return with_binding(scene, monkeypatch, "n1", "n7", "n8", "n9", long)


@pytest.mark.parametrize("name", ["n8", f"{OWN}n8"])
def test_the_rights_of_one_that_is_gone_are_taken(
    scene: Scene, bindings: Bindings, name: str
) -> None:
    (done,) = forgetting.forget(scene.run(), [name])
    assert done.done
    assert "n8" not in bindings.bound
    assert "n9" in bindings.bound
    assert "n8" in proxy_binding.removed(bindings.live), "should it come back"


def test_a_long_name_is_known_by_its_digest(scene: Scene, bindings: Bindings) -> None:
    (done,) = forgetting.forget(scene.run(), [LONG])
    assert done.done
    assert len(bindings.bound) == 4


def test_what_may_be_in_use_is_left(scene: Scene, bindings: Bindings) -> None:
    """A node of the configuration whose Node object is gone may be about to join."""
    scene.api.nodes["n7"] = node("n7")
    del scene.api.nodes["n1"]
    before = bindings.bound
    one, seven, eight = forgetting.forget(scene.run(), ["n1", "n7", "n8"])
    assert (one.done, seven.done, eight.done) == (False, False, True)
    assert "`inv remove-node --limit n1` ends it" in one.text
    assert "there is a Node object n7; put it into the configuration again" in seven.text
    assert bindings.bound == [name for name in before if name != "n8"]


def test_one_that_has_none_is_as_good(scene: Scene, bindings: Bindings) -> None:
    bindings.did.clear()
    (done,) = forgetting.forget(scene.run(), ["n2"])
    assert (done.done, done.text) == (True, "it has no rights")
    assert "patch" not in bindings.did


def test_an_account_that_may_not_says_what_it_lacks(scene: Scene, bindings: Bindings) -> None:
    scene.api.refused = {"patch clusterrolebindings"}
    with pytest.raises(MissingRightsError, match="no right to patch clusterrolebindings"):
        forgetting.forget(scene.run(), ["n8"])
    assert "n8" in bindings.bound
