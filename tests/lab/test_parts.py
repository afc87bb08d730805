"""How parts get to hosts: from a bundle; and not to a host of another architecture."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from .harness import Lab

KUBE_PROXY = "/usr/local/bin/kube-proxy"
SPOIL = f"cp {KUBE_PROXY} /root/spoilt && echo x >>/root/spoilt && mv /root/spoilt {KUBE_PROXY}"


def digest(lab: Lab, host: str) -> str:
    return lab.on(host, f"sha256sum {KUBE_PROXY}").split()[0]


def ours(lab: Lab) -> str:
    return hashlib.sha256((lab.layout.artifacts / "bin/kube-proxy").read_bytes()).hexdigest()


# --- one file for a site without internet ----------------------------------------------------


def test_a_bundle_is_all_that_a_deployment_needs(cluster: Lab) -> None:
    settings = yaml.safe_load(cluster.layout.configuration.read_text())["artifacts"]
    few = [path for path in settings["images"] if "pause" in path]
    bundle, cache = cluster.scratch / "site.tar.zst", cluster.scratch / "site-cache"
    cluster.inv("bundle", "--out", str(bundle), config=cluster.config(artifacts={"images": few}))
    nowhere = cluster.config(
        artifacts={"binaries": "/nowhere", "cni_plugins": "/nowhere", "images": ["/nowhere"]},
        calico={"manifest": "/nowhere"},
    )
    cluster.inv("plan", "--limit", "n1", code=2, config=nowhere)
    own = {"XDG_CACHE_HOME": str(cache)}
    words = ("plan", "--limit", "n1", "--exit-code", "--bundle", str(bundle))
    cluster.begin(*words, config=nowhere, **own).wait().expect(0)
    cluster.disturb("n1", SPOIL)
    words = ("deploy-nodes", "--limit", "n1", "--json", "--bundle", str(bundle))
    done = cluster.begin(*words, config=nowhere, **own).wait().expect(0)
    assert done.results == {"n1": "changed"}
    assert digest(cluster, "n1") == ours(cluster)
    bundle.unlink()


def test_a_bundle_that_was_tampered_with_is_refused(cluster: Lab) -> None:
    bundle = cluster.scratch / "bad.tar.zst"
    bundle.write_bytes(b"not what it was")
    said = cluster.inv("deploy-nodes", "--bundle", str(bundle), code=2).text
    assert f"{bundle}: it is no bundle" in said


def test_a_host_of_another_architecture_is_stopped_before_anything_is_done(cluster: Lab) -> None:
    """It says what would get its programs."""
    folder = cluster.scratch / "other"
    folder.mkdir()
    here = (cluster.layout.artifacts / "bin/kubelet").read_bytes()[18]
    other = {62: 183, 183: 62}[here]
    for path in (cluster.layout.artifacts / "bin").iterdir():
        head = b"\x7fELF\x02\x01" + bytes(12) + other.to_bytes(2, "little")
        (folder / path.name).write_bytes(head)
    config = cluster.config(artifacts={"binaries": str(folder)})
    done = cluster.deploy("--limit", "n1", code=1, config=config)
    assert "artifacts.binaries holds no programs for that" in done.text
    assert "inv binaries.fetch --arch" in done.text
    assert digest(cluster, "n1") == ours(cluster)
