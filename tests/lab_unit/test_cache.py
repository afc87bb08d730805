"""The cache: entries are whole or absent, and keys follow what they were made from."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lab import builds, cache, versions


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_an_entry_is_made_once_even_by_many_at_a_time() -> None:
    made: list[Path] = []

    def make(place: Path) -> None:
        made.append(place)
        place.write_text("it")

    threads = [
        threading.Thread(target=cache.make_once, args=("kind", "key", make)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert cache.entry("kind", "key").read_text() == "it"


def test_a_failure_leaves_no_entry_and_the_next_try_starts_clean() -> None:
    def fail(place: Path) -> None:
        place.mkdir(parents=True)
        (place / "half").touch()
        raise RuntimeError

    def make(place: Path) -> None:
        place.mkdir()

    with pytest.raises(RuntimeError):
        cache.make_once("kind", "key", fail)
    assert not cache.entry("kind", "key").exists()
    assert list(cache.make_once("kind", "key", make).iterdir()) == []


@pytest.mark.parametrize("change", ["content", "name", "mode"])
def test_a_digest_changes_with_all_that_matters_in_a_folder(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "recipe"
    folder.mkdir()
    file = folder / "go.mod"
    file.write_text("module lab")
    before = cache.digest(folder)
    assert cache.digest(folder) == before
    if change == "content":
        file.write_text("module lab2")
    elif change == "name":
        file.rename(folder / "go.work")
    else:
        file.chmod(0o755)
    assert cache.digest(folder) != before


def test_parts_of_a_digest_do_not_run_together() -> None:
    assert cache.digest("ab", "c") != cache.digest("a", "bc")


def test_a_build_s_key_follows_version_and_recipe() -> None:
    etcd = versions.etcd()
    assert builds.key(etcd).startswith(f"etcd-{versions.ETCD}-")
    assert builds.key(etcd) == builds.key(versions.etcd())
    keys = {
        builds.key(product)
        for product in (
            etcd,
            versions.containerd(),
            *(versions.containerd(release) for release in versions.older_containerds()),
            versions.cni_plugins(),
            versions.calico(),
            versions.kubernetes(),
            *(versions.node(release) for release in versions.every_kubernetes()),
        )
    }
    older = len(versions.older_containerds())
    assert len(keys) == 5 + older + len(versions.every_kubernetes()) - 1


def test_a_containerd_calls_itself_what_its_recipe_requires() -> None:
    for release in (*versions.older_containerds(), versions.CONTAINERD):
        product = versions.containerd(release)
        module, _, stamp = product.ldflags.removeprefix("-X ").partition("/version.Version=")
        assert f"{module} {stamp}" in (product.recipe / "go.mod").read_text()


def test_every_product_has_its_recipe_and_the_default_kubernetes_is_known() -> None:
    assert versions.KUBERNETES in versions.known_kubernetes()
