"""Registries: what containerd and docker read of mirrors, CAs and credentials."""

from __future__ import annotations

import base64
import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fabnode.config.loader import load
from fabnode.node import layout
from fabnode.node.resources import Absent, File
from fabnode.steps import registries
from fabnode.steps.inputs import Inputs
from fabnode.util.problems import ConfigError
from tests.support import make_config, write_cluster

from .support import make_inputs

SECRET = "s3cret-of-the-registry"
AUTH = base64.b64encode(f"puller:{SECRET}".encode()).decode()
REGISTRIES: dict[str, Any] = {
    "docker.io": {"mirrors": ["https://registry.example.org:5000", "https://m.example.org/v2/hub"]},
    "registry.example.org:5000": {
        "ca": "ca.pem",
        "username": "puller",
        "password": {"env": "REGISTRY_PASSWORD"},
    },
}


def inputs(**images: Any) -> Inputs:
    config = make_config(images={"registries": REGISTRIES} | images)
    passwords = {"registry.example.org:5000": SECRET}
    return make_inputs(replace(config, registry_passwords=passwords))


def files(resources: Any) -> dict[str, File]:
    return {each.path: each for each in resources if isinstance(each, File)}


def test_containerd_gets_a_folder_for_each_registry() -> None:
    found = files(registries.containerd(inputs()))
    certs = layout.CONTAINERD_CERTS
    assert set(found) == {
        f"{certs}/docker.io/hosts.toml",
        f"{certs}/registry.example.org:5000/hosts.toml",
        f"{certs}/registry.example.org:5000/ca.pem",
    }
    hub = found[f"{certs}/docker.io/hosts.toml"]
    content = tomllib.loads((hub.content or b"").decode())
    first = {
        "capabilities": ["pull", "resolve"],
        "ca": f"{certs}/registry.example.org:5000/ca.pem",
        "header": {"Authorization": f"Basic {AUTH}"},
    }
    second = {"capabilities": ["pull", "resolve"], "override_path": True}
    assert content["host"] == {
        "https://registry.example.org:5000": first,
        "https://m.example.org/v2/hub": second,
    }
    assert next(iter(content["host"])) == "https://registry.example.org:5000"
    own = found[f"{certs}/registry.example.org:5000/hosts.toml"]
    assert tomllib.loads((own.content or b"").decode())["host"] == {
        "https://registry.example.org:5000": first
    }


def test_a_file_with_a_password_is_nobody_elses_and_never_shown() -> None:
    resources = (*registries.containerd(inputs()), *registries.docker(inputs()))
    for file in files(resources).values():
        holds = AUTH.encode() in (file.content or b"")
        assert (file.secret, file.mode) == ((True, 0o600) if holds else (False, 0o644))
        assert SECRET not in repr(file)
        assert AUTH not in repr(file)
    assert SECRET not in repr(inputs())


def test_docker_gets_its_own_files() -> None:
    found = files(registries.docker(inputs()))
    assert registries.docker_mirrors(inputs()) == REGISTRIES["docker.io"]["mirrors"]
    assert f"{layout.DOCKER_CERTS}/registry.example.org:5000/ca.crt" in found
    kept = found["/var/lib/kubelet/config.json"]
    assert json.loads(kept.content or b"") == {
        "auths": {"registry.example.org:5000": {"auth": AUTH}}
    }


def test_an_empty_entry_removes_what_an_earlier_one_left() -> None:
    resources = registries.containerd(inputs(registries={"registry.example.org:5000": None}))
    folder = f"{layout.CONTAINERD_CERTS}/registry.example.org:5000"
    assert resources == (Absent(f"{folder}/ca.pem"), Absent(f"{folder}/hosts.toml"))


def test_without_registries_nothing_is_written() -> None:
    bare = make_inputs()
    assert registries.containerd(bare) == registries.docker(bare) == ()


def test_all_images_that_fabnode_names_come_from_the_registry() -> None:
    config = make_config(images={"registry": "registry.example.org/k8s"})
    assert config.nodes[0].runtime.sandbox_image == "registry.example.org/k8s/pause:3.10.1"
    assert config.verify.image == "registry.example.org/k8s/library/busybox:1.37.0"


@pytest.mark.parametrize(
    ("registry", "sentence"),
    [
        (
            {"r.example.org": {"username": "x"}},
            "username: needs both username and password, or neither",
        ),
        (
            {"r.example.org": {"password": {"env": "X"}}},
            "password: needs both username and password",
        ),
        ({"r.example.org": {"password": "literal"}}, "never the secret itself"),
        ({"r.example.org/path": {}}, "must be a registry's host such as"),
        ({"R.example.org": {}}, "must be a registry's host such as"),
        ({"r.example.org": {"mirrors": ["ftp://x"]}}, "must be a URL such as"),
        ({"r.example.org": {"mirrors": ["https://u:p@x"]}}, "must be a URL such as"),
        ({"r.example.org": {"ca": "nowhere.pem"}}, "does not exist"),
        ({"r.example.org": {"ca": "ca-key.pem"}}, "holds a private key"),
        (
            {
                "docker.io": {"mirrors": ["http://r.example.org"]},
                "r.example.org": {"username": "x", "password": {"env": "X"}},
            },
            "in clear text",
        ),
    ],
)
def test_impossible_registry_settings_are_reported(
    tmp_path: Path, registry: Any, sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write_cluster(tmp_path, images={"registries": registry}))
    assert sentence in str(caught.value)
    assert "literal'" not in str(caught.value)


def test_a_containerd_that_reads_no_hosts_files_is_refused(tmp_path: Path) -> None:
    old: dict[str, Any] = {"cluster": {"version": "1.19.16"}, "calico": {"enabled": False}}
    images = {"registries": {"docker.io": {"mirrors": ["https://m.example.org"]}}}
    with pytest.raises(ConfigError, match="13 of n1 does not read hosts"):
        load(write_cluster(tmp_path, images=images, runtime={"version": "1.4.13"}, **old))
    load(write_cluster(tmp_path, images=images, runtime={"version": "1.6.39"}, **old))
