"""Which paths of the site's own settings a kubelet goes by."""

from __future__ import annotations

import pytest

from fabnode.node.facts import Facts, Named
from fabnode.steps.kubelet_paths import configured
from fabnode.steps.program_owners import named
from tests.support import make_config

DEFAULT = Named(
    "/usr/libexec/kubernetes/kubelet-plugins/volume/exec",
    "the kubelet's default volumePluginDir",
    runs=True,
)


def test_without_settings_it_goes_by_its_default_of_plugins_alone() -> None:
    assert configured(make_config().nodes[0]) == (DEFAULT,)


@pytest.mark.parametrize(
    ("fields", "flags", "expected"),
    [
        ({"staticPodPath": "/p"}, {}, ("/p", "kubelet.config.staticPodPath", False)),
        ({"staticPodPath": "p"}, {}, ("/etc/kubernetes/p", "kubelet.config.staticPodPath", False)),
        ({"volumePluginDir": "/v"}, {}, ("/v", "kubelet.config.volumePluginDir", True)),
        ({}, {"pod-manifest-path": "/p"}, ("/p", "kubelet.extra_args.pod-manifest-path", False)),
        ({}, {"volume-plugin-dir": "/v"}, ("/v", "kubelet.extra_args.volume-plugin-dir", True)),
        (
            {},
            {"image-credential-provider-bin-dir": "/b"},
            ("/b", "kubelet.extra_args.image-credential-provider-bin-dir", True),
        ),
        (
            {},
            {"image-credential-provider-config": "/c"},
            ("/c", "kubelet.extra_args.image-credential-provider-config", False),
        ),
    ],
)
def test_what_settings_name(
    fields: dict[str, str], flags: dict[str, str], expected: tuple[str, str, bool]
) -> None:
    config = make_config(kubelet={"config": fields, "extra_args": flags})
    first, *rest = configured(config.nodes[0])
    assert first == Named(*expected)
    of_plugins = "volume" in expected[1].lower()
    assert rest == ([] if of_plugins else [DEFAULT])


def test_without_find_nobody_is_accused() -> None:
    manifest = Named("/p/m.yaml", "kubelet.config.staticPodPath", runs=False)
    seen = Facts(of_others=(manifest, DEFAULT), lacking=frozenset({"find"}))
    (found,) = named(seen, (), rewritten=True)
    assert (found.level, found.fix) == ("error", "install the packages findutils")


def test_what_others_may_change_there_is_an_error() -> None:
    manifest = Named("/p/m.yaml", "kubelet.config.staticPodPath", runs=False)
    (found,) = named(Facts(of_others=(manifest,)), (), rewritten=True)
    assert found.level == "error"
    assert found.text.startswith("kubelet.config.staticPodPath names /p/m.yaml, which root's")
