"""Digests that are known beforehand, and how newer ones come among them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fabnode.artifacts import refresh
from fabnode.artifacts.digests import FILE, known, read

SHA = {name: hashlib.sha256(name.encode()).hexdigest() for name in "abcdefgh"}


def listed(*files: tuple[str, str], base: str = "https://dl.k8s.io/release/") -> str:
    lines = "".join(f"- name: {name}\n  sha256: {digest}\n" for name, digest in files)
    return f"filestores:\n- base: {base}\nfiles:\n{lines}"


def kubelet(release: str, digest: str, arch: str = "amd64") -> tuple[str, str]:
    return f"v{release}/bin/linux/{arch}/kubelet", SHA[digest]


def test_what_is_shipped_holds_together_and_names_its_sources() -> None:
    parts = read(FILE.read_bytes())
    assert len(parts) == 7
    for blocks in parts.values():
        for block in blocks:
            assert block.source.split("/")[6].isalnum()
            assert len(block.source.split("/")[6]) == 40, "a fixed commit"
            assert all(set(found) == {"amd64", "arm64"} for found in block.digests.values())
    for minor in range(28, 38):
        releases = {str(r) for b in parts["kube-proxy"] for r in b.digests}
        assert any(release.startswith(f"1.{minor}.") for release in releases)


def test_known_digests() -> None:
    # As containernetworking/plugins publishes it beside the file.
    digest = known("cni_plugins", "1.9.1", "amd64")
    assert str(digest) == (
        "sha256 b98f74a0f8522f0a83867178729c1aa70f2158f90c45a2ca8fa791db1c76b303"
    )
    assert known("cni_plugins", "1.9.1", "s390x") is None
    assert known("cni_plugins", "0.0.1", "amd64") is None
    assert known("cni_plugins", "1.9.1-rc.1", "amd64") is None


def block(digests: str, source: str = "https://x.org/", read: str = "2026-01-01, so") -> str:
    return f"{{source: '{source}', read: '{read}', digests: {{{digests}}}}}"


@pytest.mark.parametrize(
    "text",
    [
        f"kubelet: [{block('', source='http://x.org/')}]",
        f"kubelet: [{block('', read='')}]",
        "other: []",
        f"kubelet: [{block('v1: {}')}]",
        f"kubelet: [{block('1.2.3: {amd64: x}')}]",
        f"kubelet: [{block('1.2.3: {s390x: ' + SHA['a'] + '}')}]",
        f"kubelet: [{block('1.2.3: {amd64: ' + SHA['a'] + '}')},"
        f" {block('1.2.3: {amd64: ' + SHA['b'] + '}')}]",
    ],
)
def test_what_is_no_such_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"validation error|has two digests"):
        read(text)


def test_newer_digests_are_added_and_the_oldest_go() -> None:
    first = [*refresh.entries(listed(*(kubelet(f"1.36.{patch}", "a") for patch in range(5))))]
    text = refresh.merged("", first, "https://x.org/1", "2026-01-01, so")
    new = listed(kubelet("1.36.5", "b"), kubelet("1.36.5", "c", "arm64"), kubelet("1.36.4", "a"))
    text = refresh.merged(text, refresh.entries(new), "https://x.org/2", "2026-01-02, so")
    blocks = read(text)["kubelet"]
    found = {
        (each.source[-1], str(release), arch): digest
        for each in blocks
        for release, digests in each.digests.items()
        for arch, digest in digests.items()
    }
    assert found == {
        **{("1", f"1.36.{patch}", "amd64"): SHA["a"] for patch in range(1, 5)},
        ("2", "1.36.5", "amd64"): SHA["b"],
        ("2", "1.36.5", "arm64"): SHA["c"],
    }
    assert refresh.merged(text, [], "https://x.org/3", "2026-01-03, so") == text


def test_a_digest_that_contradicts_one_that_is_there_is_an_error() -> None:
    old, new = (refresh.entries(listed(kubelet("1.36.1", name))) for name in "ab")
    text = refresh.merged("", old, "https://x.org/1", "2026-01-01, so")
    with pytest.raises(ValueError, match=r"kubelet 1\.36\.1 amd64 has two digests"):
        refresh.merged(text, new, "https://x.org/2", "2026-01-02, so")


def test_only_what_nodes_get_is_taken() -> None:
    github = "https://github.com/"
    text = listed(
        kubelet("1.27.1", "a"),
        ("v1.36.1/bin/darwin/amd64/kubectl", SHA["b"]),
        ("v1.36.1/bin/linux/s390x/kubectl", SHA["c"]),
        ("v1.36.1/bin/linux/amd64/kubeadm", SHA["d"]),
        ("v1.36.1-rc.0/bin/linux/amd64/kubelet", SHA["e"]),
        ("v1.36.1/bin/linux/arm64/kube-proxy", SHA["f"]),
    )
    assert [(part, str(release), arch) for part, release, arch, _ in refresh.entries(text)] == [
        ("kube-proxy", "1.36.1", "arm64")
    ]
    runc = listed(("v1.5.1/runc.amd64", SHA["a"]), ("v1.5.1/SHA512", "'Hash:'"), base=github)
    assert [entry[0] for entry in refresh.entries(runc)] == ["runc"]


def test_the_command_writes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "FILE", tmp_path / "digests.yml")
    (tmp_path / "list.yaml").write_text(listed(kubelet("1.36.1", "a")))
    refresh.main(["--source", "https://x.org/1", "--note", "tried", str(tmp_path / "list.yaml")])
    (block,) = read((tmp_path / "digests.yml").read_text())["kubelet"]
    assert block.read.endswith("by fabnode.artifacts.refresh; tried")
