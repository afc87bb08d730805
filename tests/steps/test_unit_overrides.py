"""Unit files and drop-ins of others: what they override of fabnode's units, and what not."""

from __future__ import annotations

from dataclasses import replace
from posixpath import dirname

import pytest

from fabnode.node import advice, unit_files
from fabnode.node.config_files import ConfigFiles
from fabnode.node.facts import Facts, PathFact, UnitFact
from fabnode.node.resources import File
from fabnode.steps import kubelet, proxy, runtime
from fabnode.steps.finding import Finding
from fabnode.steps.unit_overrides import findings, wanted_here
from tests.support import make_config

from .support import assert_finding, make_inputs

KUBEADM = "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
KUBELET = "/etc/systemd/system/kubelet.service"
LOCAL = f"{KUBELET}.d/local.conf"
CONTAINERD = "/etc/systemd/system/containerd.service.d/proxy.conf"
PROXY = "/etc/systemd/system/kube-proxy.service.d/x.conf"
INPUTS = make_inputs(make_config())
RESOURCES = tuple(
    resource for step in (runtime, kubelet, proxy) for resource in step.desired(INPUTS)
)
REPLACED = ("[Service]", "ExecStart=", "ExecStart=/usr/bin/kubelet --config=/x")


def found(files: ConfigFiles, wanted: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    facts = Facts(known=True, config_files={KUBELET: ("[Service]",), **files})
    return tuple(findings(facts, RESOURCES, wanted))


def no_proxy() -> str:
    """Return what fabnode's own unit of containerd names."""
    texts = {each.path: each.content for each in RESOURCES if isinstance(each, File)}
    unit = (texts["/etc/systemd/system/containerd.service"] or b"").decode()
    return next(line for line in unit.splitlines() if "NO_PROXY=" in line)


CASES: list[tuple[ConfigFiles, str | None, str]] = [
    ({KUBEADM: REPLACED}, "error", f"{KUBEADM} overrides ExecStart of kubelet.service"),
    # In each folder of systemd's, and for each prefix of a unit's name.
    *(
        ({f"{folder}/kubelet.service.d/x.conf": REPLACED}, "error", f"{folder}/kubelet.servic")
        for folder in unit_files.FOLDERS
    ),
    (
        {"/run/systemd/system/kube-.service.d/x.conf": ("[Service]", "Restart=no")},
        "warning",
        "Restart (always → no) of kube-proxy.service",
    ),
    (
        {"/etc/systemd/system/service.d/x.conf": ("[Service]", "User=nobody")},
        "warning",
        "User of containerd.service, User of kubelet.service, User of kube-proxy.service",
    ),
    (
        {LOCAL: ("[Service]", "Environment=A=b HTTPS_PROXY=http://p:1")},
        "error",
        "HTTPS_PROXY of",
    ),
    ({LOCAL: ("[Service]", "Environment=")}, "error", "Environment (HTTP_PROXY, HTTPS_PROXY"),
    ({LOCAL: ("[Service]", "EnvironmentFile=-/etc/x")}, "warning", "EnvironmentFile of"),
    ({LOCAL: ("[Unit]", "ConditionPathExists=/x")}, "warning", "ConditionPathExists of"),
    ({LOCAL: ("[Service]", "KillMode=control-group")}, "warning", "KillMode (process → "),
    (
        {CONTAINERD: ("[Service]", "Environment=NO_PROXY=localhost")},
        "error",
        "NO_PROXY, without .cluster.local, .svc, 10.68.0.0/16",
    ),
    # A line that goes on in the next.
    ({LOCAL: ("[Service]", "ExecStart=/bin/\\", "true")}, "error", "ExecStart of"),
    # What takes the place of the whole file, and what hides it.
    (
        {f"/run/systemd/transient/{KUBELET[20:]}": ("[Service]",)},
        "error",
        "replaces the kubelet",
    ),
    ({KUBELET: ()}, "error", f"kubelet.service is masked by {KUBELET}"),
    # Near misses.
    ({LOCAL: ("[Service]", "MemoryMax=2G", "Environment=GODEBUG=x")}, None, ""),
    ({LOCAL: ("[Service]", "Restart=always")}, None, ""),
    ({LOCAL: ("[Unit]", "After=chrony.service", "Wants=chrony.service")}, None, ""),
    ({KUBEADM: REPLACED, f"{KUBELET}.d/10-kubeadm.conf": ()}, None, ""),  # masked
    ({f"{KUBELET}.d/note.txt": REPLACED}, None, ""),
    ({"/etc/systemd/system/kubelet2.service.d/x.conf": REPLACED}, None, ""),
    ({"/run/systemd/system/kubelet.service": ()}, None, ""),  # /etc comes before
    ({CONTAINERD: ("[Service]", 'Environment="HTTPS_PROXY=http://p:1"')}, None, ""),
    ({CONTAINERD: ("[Service]", no_proxy()[:-1] + ',x"')}, None, ""),
]


@pytest.mark.parametrize(("files", "level", "text"), CASES)
def test_each_override_is_found_with_its_fix(
    files: ConfigFiles, level: str | None, text: str
) -> None:
    assert_finding(found(files), level, text)


def test_the_fix_names_what_to_do_about_that_file() -> None:
    (packaged,) = found({KUBEADM: REPLACED})
    assert "ln -s /dev/null /etc/systemd/system/kubelet.service.d/10-kubeadm.conf" in packaged.fix
    (own,) = found({LOCAL: REPLACED})
    assert own.fix.startswith(f"rm {LOCAL}; then systemctl daemon-reload")


def test_wanted_drop_ins_are_left_alone_and_named() -> None:
    wanted = (f"{KUBELET}.d/*.conf",)
    files = {LOCAL: REPLACED}
    assert found(files, wanted) == ()
    facts = Facts(config_files=files)
    assert wanted_here(facts, ("kubelet.service", "kube-proxy.service"), wanted) == (LOCAL,)


def test_no_value_of_an_environment_is_shown() -> None:
    (finding,) = found({LOCAL: ("[Service]", "Environment=HTTP_PROXY=http://u:secret@p:1")})
    assert "secret" not in finding.text + finding.fix


def changeable(uid: int, mode: int) -> tuple[Finding, ...]:
    """Return what is found of a harmless drop-in with this owner and mode, which is wanted."""
    facts = Facts(
        config_files={LOCAL: ("[Service]", "MemoryMax=2G")},
        paths={LOCAL: PathFact("file", mode, uid)},
    )
    return tuple(findings(facts, RESOURCES, (LOCAL,)))


@pytest.mark.parametrize(("uid", "mode"), [(1000, 0o644), (0, 0o664), (0, 0o646)])
def test_a_drop_in_that_others_may_write_is_refused_wanted_or_not(uid: int, mode: int) -> None:
    (finding,) = changeable(uid, mode)
    assert finding.level == "error"
    assert "others than root may change" in finding.text
    assert changeable(0, 0o640) == ()


def test_a_drop_in_in_a_folder_of_others_is_no_path_for_a_command_of_roots() -> None:
    folder = PathFact("directory", 0o775, 0, 50)
    facts = Facts(
        config_files={LOCAL: ("[Service]", "MemoryMax=2G")},
        paths={LOCAL: PathFact("file", 0o666), dirname(LOCAL): folder},
    )
    (finding,) = findings(facts, RESOURCES, (LOCAL,))
    assert finding.fix.startswith(f"check its content, then fix {dirname(LOCAL)} first")
    assert advice.removed(LOCAL, facts.paths).startswith(f"fix {dirname(LOCAL)}, which others")
    safe = replace(facts, paths={LOCAL: PathFact("file", 0o666)})
    assert advice.removed(LOCAL, safe.paths) == f"rm {LOCAL}"
    (finding,) = findings(safe, RESOURCES, (LOCAL,))
    assert f"check its content, then run on the host: install -m 644 {LOCAL} {LOCAL}.new," in (
        finding.fix
    )
    assert f"then mv {LOCAL}.new {LOCAL}" in finding.fix


def test_files_of_the_same_name_count_once_and_names_give_the_order() -> None:
    files = {
        "/usr/lib/systemd/system/kube-proxy.service.d/b.conf": ("1",),
        "/etc/systemd/system/kube-.service.d/b.conf": ("2",),
        "/etc/systemd/system/service.d/a.conf": ("3",),
        "/etc/systemd/system.control/kube-proxy.service.d/b.conf": ("4",),
        "/usr/lib/systemd/system/kube-proxy.service.d/c.conf": (),
    }
    assert unit_files.drop_ins("kube-proxy.service", files) == (
        "/etc/systemd/system/service.d/a.conf",
        "/etc/systemd/system.control/kube-proxy.service.d/b.conf",
    )


ALIAS = "node-agent.service.d/10-kubeadm.conf"


@pytest.mark.parametrize(
    ("read", "file"),
    [
        ((f"/etc/systemd/system/{ALIAS}",), f"/etc/systemd/system/{ALIAS}"),
        ((f"/lib/systemd/system/{ALIAS}",), f"/usr/lib/systemd/system/{ALIAS}"),
        ((), f"/etc/systemd/system/{ALIAS}"),  # nobody's name for it
    ],
)
def test_drop_ins_in_the_folder_of_an_alias(read: tuple[str, ...], file: str) -> None:
    units = {"kubelet.service": UnitFact(drop_ins=read)}
    facts = Facts(known=True, config_files={file: REPLACED}, units=units)
    texts = [each.text for each in findings(facts, RESOURCES, ())]
    assert texts == ([f"{file} overrides ExecStart of kubelet.service"] if read else [])
    assert wanted_here(facts, ["kubelet.service"], ["*/10-kubeadm.conf"]) == (
        (file,) if read else ()
    )
