"""What is shown of a key: by the schema, with a line of the example."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabnode.config.explain import explain, known_keys
from fabnode.util.problems import ConfigError

EXAMPLE = Path("config/example.yml").read_text()
# The example names these in a sentence, or shows them on another level.
WITHOUT_EXAMPLE = {
    "runtime.handlers.NAME.path",
    "runtime.handlers.NAME.pod_annotations",
    "runtime.handlers.NAME.privileged_without_host_devices",
    "extensions.hooks[].before",
    "groups.NAME.annotations",
    "groups.NAME.taints",
}


@pytest.mark.parametrize("key", known_keys())
def test_every_key_has_a_meaning_a_type_and_an_example_or_keys_below(key: str) -> None:
    found = explain(key, EXAMPLE)
    assert found.key == key
    assert found.meaning
    assert found.kind
    shown = key.rpartition(".")[2].removesuffix("[]")
    has_example = f"{shown}:" in found.example
    assert has_example or found.keys or key in WITHOUT_EXAMPLE
    assert not (has_example and key in WITHOUT_EXAMPLE)
    assert found.example == "" or all(line in EXAMPLE for line in found.example.splitlines())


@pytest.mark.parametrize(
    ("key", "kind", "default", "allowed"),
    [
        ("kubelet.max_pods", "whole number", 110, "1 to 1000000"),
        ("kubelet.hardened", "true or false", False, ""),
        ("kube_proxy.mode", "text", "iptables", "iptables, ipvs or nftables"),
        ("kubelet.cloud_provider", "text", None, "external"),
        ("cluster.dns_domain", "text", "cluster.local", "a DNS domain such as cluster.local"),
        ("kubelet.extra_args", "mapping from names, each value: text, whole number or true or"
         " false", {}, ""),
        ("artifacts.architectures", "list, each item: text", ["amd64"], "amd64 or arm64"),
        ("calico.mtu", "whole number", None, "576 to 65520"),
        ("calico", "mapping, or the word none", None, ""),
        ("ssh.password", "where a secret is found", None,
         "one of {env: NAME}, {file: PATH} and {prompt: true}; never the secret itself"),
    ],
)  # fmt: skip
def test_types_defaults_and_allowed_values(
    key: str, kind: str, default: object, allowed: str
) -> None:
    found = explain(key, EXAMPLE)
    assert (found.kind, found.default, found.allowed) == (kind, default, allowed)


def test_an_item_that_may_be_one_of_two_things_is_explained_by_the_key() -> None:
    found = explain("nodes[n1].from", EXAMPLE)
    assert (found.key, found.kind, found.required) == ("nodes[].from", "mapping, or text", False)
    assert explain("nodes.from.path", EXAMPLE).key == "nodes[].from.path"
    assert explain("nodes[].name", EXAMPLE).required


def test_what_is_required_says_so() -> None:
    assert explain("cluster.version", EXAMPLE).required
    assert explain("nodes[].address", EXAMPLE).required
    assert not explain("cluster.name", EXAMPLE).required


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("", ""),
        (".", ""),
        ("nodes[n1].address", "nodes[].address"),
        ("nodes.address", "nodes[].address"),
        ("nodes.0.address", "nodes[].address"),
        ("groups.ssd.kubelet.max_pods", "groups.NAME.kubelet.max_pods"),
        ("images.registries[docker.io].ca", "images.registries.NAME.ca"),
        # Fields of a component's own: it is the key that takes them which has a meaning here.
        ("kubelet.config.evictionHard.x", "kubelet.config"),
        ("nodes[n1].labels.disk", "nodes[].labels"),
    ],
)
def test_a_key_is_found_as_messages_and_people_write_it(written: str, key: str) -> None:
    assert explain(written, EXAMPLE).key == key


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("kubelet.max_pod", "did you mean kubelet.max_pods?"),
        ("kublet.max_pods", "did you mean kubelet.max_pods?"),
        ("max_pods", "did you mean kubelet.max_pods?"),
        ("max_parallel", "did you mean deploy.max_parallel or groups.NAME.max_parallel?"),
        ("nodes[n1].adress", "did you mean nodes[].address?"),
        ("ssh.port.x", ""),
        ("zzz", "a dot as KEY shows the top level"),
    ],
)
def test_an_unknown_key_is_a_sentence_with_the_nearest(key: str, hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        explain(key, EXAMPLE)
    assert str(refused.value).startswith(f"{key}: is no key of the configuration; {hint}")


def test_where_a_key_may_be_set() -> None:
    everywhere = explain("ssh.port", EXAMPLE).scope
    assert "groups.NAME.ssh.port" in everywhere
    assert "nodes[].ssh.port" in everywhere
    assert explain("nodes[].ssh.port", EXAMPLE).scope == "for this node; for all: ssh.port"
    assert explain("timeouts.api", EXAMPLE).scope == ""
