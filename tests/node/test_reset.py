"""What a reset removes, puts back, refuses and leaves, from what was seen."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from fabnode.node.facts import PathFact
from fabnode.node.host_traces import Scope, foreign
from fabnode.node.reset import Reset, reset
from fabnode.node.surroundings import (
    MountPoint,
    Sandbox,
    Surroundings,
    Survey,
    UnitState,
)

FILE, FOLDER, LINK = PathFact("file"), PathFact("directory"), PathFact("symlink")
KUBELET, STATE = "/var/lib/kubelet", "/var/lib/fabnode"
FORWARD = "/proc/sys/net/ipv4/ip_forward"
SCOPE = Scope(
    files=("/usr/local/bin/kubelet", "/etc/crictl.yaml", "/etc/kubernetes/kubelet.kubeconfig"),
    folders=("/etc/kubernetes", "/etc/kubernetes/pki"),
    trees=(KUBELET, "/var/lib/containerd", "/data/containerd"),
    mounts=(KUBELET, "/run/containerd"),
    made=frozenset({"/etc/kubernetes/kubelet.kubeconfig"}),
    modules=frozenset({"ip_vs", "overlay"}),
    settings=(FORWARD,),
    pod_cidrs=(IPv4Network("10.244.0.0/16"),),
    state=STATE,
    runtime_root="/var/lib/containerd",
    ctr="/usr/local/bin/ctr",
    crictl="/usr/local/bin/crictl",
    usual=frozenset({KUBELET, "/var/lib/containerd"}),
    chains=("cali-",),
    interfaces={r"cali[0-9a-f]{11}": "veth", r"vxlan\.calico": "vxlan"},
    sets=(r"cali[46]0[\w:.-]+",),
    tables=("ip calico",),
    route_protocols=frozenset({"80", "bird"}),
)
OWN = (f"{STATE}/baseline", "/etc/systemd/system/kubelet.service")
BEFORE = Surroundings(
    machine="m", asked=frozenset((*SCOPE.files, *SCOPE.folders, *SCOPE.trees)) - SCOPE.made
)


def survey(now: dict[str, Any] | None = None, **more: Any) -> Survey:
    about: dict[str, Any] = {"now": Surroundings(**(now or {})), "before": BEFORE, "own": OWN}
    return Survey(**about | more)


def plan(found: Survey, **options: Any) -> Reset:
    return reset(found, SCOPE, **options)


def done(found: Survey, *kinds: str) -> list[str]:
    return [f"{c.action} {c.name}" for c in plan(found).changes if c.kind in kinds]


def test_a_host_that_fabnode_never_changed_is_left_alone() -> None:
    """Whatever another tool's node has there: its names are no proof that it is ours."""
    found = survey(
        {
            "interfaces": {"kube-ipvs0": "3: kube-ipvs0: <> dummy "},
            "paths": {KUBELET: FOLDER, "/usr/local/bin/kubelet": FILE},
        },
        own=(),
    )
    assert plan(found) == Reset()


# --- what runs ---------------------------------------------------------------------------------


def test_units_pods_and_mounts_end_in_this_order_before_all_else() -> None:
    active = UnitState("loaded", "active", "enabled")
    names = ("kubelet.service", "kube-proxy.service", "containerd.service")
    found = survey(
        {
            "units": dict.fromkeys(names, active),
            "mounts": (MountPoint("tmpfs", "/", f"{KUBELET}/pods/1/volumes/x"),),
            "paths": {"/usr/local/bin/kubelet": FILE},
        },
        own=tuple(f"/etc/systemd/system/{name}" for name in names),
        sandboxes=(Sandbox("s1", "kube-system", "calico-node-x", daemon=True),),
    )
    todo = plan(found)
    assert [c.kind for c in todo.first] == ["service", "service", "sandboxes", "service", "mounts"]
    assert [c.name for c in todo.first if c.kind == "service"] == list(names)
    assert "file" in [c.kind for c in todo.rest]


@pytest.mark.parametrize(
    ("unit", "stops"),
    [
        (UnitState("loaded", "active", "enabled"), True),
        (UnitState("loaded", "activating", "disabled"), True),
        (UnitState("loaded", "inactive", "enabled"), True),
        (UnitState("loaded", "inactive", "disabled"), False),
        (UnitState("loaded", "failed", "disabled"), False),
        (UnitState(), False),
    ],
)
def test_a_unit_of_fabnodes_is_stopped_if_it_runs_or_would_at_boot(
    unit: UnitState, stops: bool
) -> None:
    found = survey({"units": {"kubelet.service": unit}})
    assert done(found, "service") == (["stop kubelet.service"] if stops else [])


def test_a_unit_that_fabnode_did_not_write_is_not_stopped() -> None:
    unit = UnitState("loaded", "active", "enabled", "/usr/lib/systemd/system/containerd.service")
    found = survey({"units": {"containerd.service": unit}})
    assert done(found, "service") == []
    assert plan(found).refusals == ()


def test_a_kubelet_of_another_tool_refuses_it_all() -> None:
    unit = UnitState("loaded", "active", "enabled", "/lib/systemd/system/kubelet.service")
    found = survey({"units": {"kubelet.service": unit}}, own=(f"{STATE}/digests",))
    (refusal,) = plan(found).refusals
    assert "is not fabnode's (/lib/systemd/system/kubelet.service)" in refusal.text


# --- pods --------------------------------------------------------------------------------------

PODS = (
    Sandbox("s1", "kube-system", "calico-node-x", daemon=True),
    Sandbox("s2", "shop", "web-1", daemon=False),
    Sandbox("s3", "shop", "db-0", daemon=False),
)


@pytest.mark.parametrize(
    ("named", "left"),
    [
        ((), ["shop/db-0", "shop/web-1"]),
        (("shop/web-1",), ["shop/db-0"]),
        (("shop/web-?", "shop/db-0"), []),
        (("shop/*",), []),
        (("web-1", "other/*"), ["shop/db-0", "shop/web-1"]),
    ],
)
def test_pods_that_no_daemonset_made_have_to_be_named(
    named: tuple[str, ...], left: list[str]
) -> None:
    refusals = plan(survey(sandboxes=PODS), pods=named).refusals
    assert [r.text for r in refusals] == ([f"pods run there: {', '.join(left)}"] if left else [])
    assert all(f"--pods {','.join(left)}" in r.fix for r in refusals)


def test_where_containerd_does_not_answer_and_containers_run_it_is_refused() -> None:
    (refusal,) = plan(survey(sandboxes=None, shims=3)).refusals
    assert "containerd does not answer, and 3 containers run" in refusal.text
    assert plan(survey(sandboxes=None, shims=0)).refusals == ()


def test_a_program_of_others_that_it_would_run_refuses_it() -> None:
    (refusal,) = plan(survey(sandboxes=None, shims=3, untrusted=(SCOPE.ctr,))).refusals
    assert refusal.text == (
        "others than root may change /usr/local/bin/ctr, so that containerd was not asked what it"
        " holds"
    )


@pytest.mark.parametrize(("held", "refused"), [((0, 0), False), ((1, 0), True), ((0, 1), True)])
def test_containers_and_images_of_others_in_the_same_containerd_refuse_it(
    held: tuple[int, int], refused: bool
) -> None:
    found = survey(sandboxes=(), namespaces={"k8s.io": (3, 9), "moby": held})
    assert [("namespace moby" in r.text) for r in plan(found).refusals] == [True] * refused


def test_containers_beside_those_of_pods_refuse_it() -> None:
    """They would lose their containerd, and what it keeps of them."""
    ids = tuple(f"{number}{'a' * 63}" for number in range(7))
    found = survey(sandboxes=(), namespaces={"k8s.io": (7, 9)}, containers=ids)
    (refusal,) = plan(found).refusals
    assert (
        "holds containers that are no pod's, in the namespace k8s.io: 0aaaaaaaaaaa" in refusal.text
    )
    assert refusal.text.endswith(", 4aaaaaaaaaaa and 2 more")
    assert ids[0] in refusal.fix


def test_pods_that_have_not_left_are_asked_to_end_before_they_are_killed() -> None:
    odd = Sandbox("s4", "shop", 'x","y', daemon=False)
    todo = plan(survey(sandboxes=(*PODS, odd)))
    assert [c.kind for c in todo.first][:2] == ["containers", "sandboxes"]
    change = todo.first[0]
    assert change.resource.words == ("/usr/local/bin/ctr", "30", "shop/db-0", "shop/web-1")  # type: ignore[union-attr]
    assert change.name == "shop/db-0, shop/web-1"


def test_swap_and_users_are_compared_with_the_record() -> None:
    before = replace(BEFORE, swaps=("/dev/sdb2", "/swap"), users=("root:0", "old:1000"))
    now = {"swaps": ("/swap", "/dev/zram0"), "users": ("root:0", "new:1001")}
    assert plan(survey(now, before=before)).stays == (
        "swap /dev/sdb2 was on before the first deployment, and is off: swapon /dev/sdb2",
        "swap /dev/zram0 has been turned on since the first deployment",
        "users since the first deployment, of others: new:1001",
        "users that were there before, and are not: old:1000",
    )
    older = replace(before, users=())  # a record of an earlier release
    assert not [text for text in plan(survey(now, before=older)).stays if "users" in text]
    others = foreign(survey(now, before=before), SCOPE)
    assert (others["swap"], others["users"]) == (now["swaps"], now["users"])


def test_only_network_namespaces_of_pods_are_given_up() -> None:
    good = "/var/run/netns/cni-0123abcd-0000"
    pods = tuple(
        Sandbox(f"s{n}", "a", "b", daemon=True, netns=path)
        for n, path in enumerate((good, "/etc/passwd", "/run/netns/vpn", ""))
    )
    (change,) = [c for c in plan(survey(sandboxes=pods)).first if c.kind == "sandboxes"]
    assert change.resource.words == ("/usr/local/bin/ctr", "/usr/local/bin/crictl", good)  # type: ignore[union-attr]


# --- mounts and folders ------------------------------------------------------------------------


def test_where_others_mounted_something_before_nothing_is_unmounted_nor_deleted() -> None:
    theirs = MountPoint("ext4", "/", f"{KUBELET}/plugins/theirs")
    ours = MountPoint("tmpfs", "/", f"{KUBELET}/pods/1/x")
    now = {"mounts": (theirs, ours), "paths": {KUBELET: FOLDER}}
    found = survey(now, before=replace(BEFORE, mounts=(theirs,)))
    assert done(found, "mounts", "tree") == []
    assert plan(found).stays == (f"{KUBELET}: {theirs.place} was mounted there before",)


def test_a_mount_of_the_folder_itself_is_no_mount_below_it() -> None:
    now = {
        "mounts": (MountPoint("ext4", "/", KUBELET),),
        "paths": {KUBELET: FOLDER},
        "filled": frozenset({KUBELET}),
    }
    found = survey(now)
    assert done(found, "mounts") == []
    assert done(found, "tree") == [f"remove {KUBELET}"]


@pytest.mark.parametrize(
    ("path", "before", "filled", "words"),
    [
        (KUBELET, BEFORE, (), "-"),
        (KUBELET, replace(BEFORE, paths={KUBELET: FOLDER}), (KUBELET,), "keep"),
        (KUBELET, replace(BEFORE, paths={KUBELET: FOLDER}), (), None),
        (
            KUBELET,
            replace(BEFORE, paths={KUBELET: FOLDER}, filled=frozenset({KUBELET})),
            (KUBELET,),
            None,
        ),
        (KUBELET, None, (), "-"),
        ("/data/containerd", None, (), None),
        ("/data/containerd", BEFORE, (), "-"),
    ],
)
def test_a_folder_goes_as_far_as_it_is_known_that_nobody_elses_is_in_it(
    path: str, before: Surroundings | None, filled: tuple[str, ...], words: str | None
) -> None:
    now = {"paths": {path: FOLDER}, "filled": frozenset(filled)}
    found = survey(now, before=before, sandboxes=())
    changes = [c for c in plan(found).rest if c.kind == "tree"]
    assert [c.resource.words for c in changes] == ([(path, words)] if words else [])  # type: ignore[union-attr]


@pytest.mark.parametrize("before", [BEFORE, None])
@pytest.mark.parametrize(("filled", "words"), [((KUBELET,), "keep"), ((), None)])
def test_a_folder_that_is_a_mount_point_is_emptied_and_stays(
    before: Surroundings | None, filled: tuple[str, ...], words: str | None
) -> None:
    """Somebody's disk is mounted there: nothing is still to do once it is empty."""
    now = {
        "paths": {KUBELET: FOLDER},
        "filled": frozenset(filled),
        "mounts": (MountPoint("ext4", "/", KUBELET),),
    }
    changes = [c for c in plan(survey(now, before=before)).rest if c.kind == "tree"]
    assert [c.resource.words for c in changes] == ([(KUBELET, words)] if words else [])  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        (PathFact("directory", 0o755), PathFact("directory", 0o750), "0755 0:0"),
        (PathFact("directory", 0o755, 7, 8), PathFact("directory", 0o755), "0755 7:8"),
        (PathFact("directory", 0o755), PathFact("directory", 0o755), None),
        (PathFact("symlink", 0o777), PathFact("directory", 0o755), None),
        (PathFact("directory", 0o755), LINK, None),
    ],
)
@pytest.mark.parametrize("path", [KUBELET, "/etc/kubernetes"])
def test_folders_that_were_there_get_their_mode_and_owner_back(
    path: str, was: PathFact, now: PathFact, expected: str | None
) -> None:
    found = survey({"paths": {path: now}}, before=replace(BEFORE, paths={path: was}))
    changes = [c for c in plan(found).rest if c.kind == "mode"]
    assert [" ".join(c.resource.words) for c in changes] == (  # type: ignore[union-attr]
        [f"{path} {expected}"] if expected else []
    )


def test_the_mode_of_a_folder_that_is_left_is_left_too() -> None:
    before = replace(
        BEFORE, paths={KUBELET: PathFact("directory", 0o700)}, filled=frozenset({KUBELET})
    )
    found = survey({"paths": {KUBELET: PathFact("directory", 0o755)}}, before=before)
    assert done(found, "mode") == []


def test_without_a_record_containerds_store_goes_only_if_it_could_be_asked() -> None:
    now = {"paths": {"/var/lib/containerd": FOLDER}}
    assert done(survey(now, before=None, sandboxes=None), "tree") == []
    assert done(survey(now, before=None, sandboxes=()), "tree") == ["remove /var/lib/containerd"]
    later = plan(survey(now, before=None, sandboxes=None), asked=True)
    assert [c.name for c in later.changes if c.kind == "tree"] == ["/var/lib/containerd"]


def test_a_tree_that_is_a_link_refuses_it() -> None:
    (refusal,) = plan(survey({"paths": {KUBELET: LINK}})).refusals
    assert refusal.text == f"{KUBELET} is a symlink, which a reset does not follow"


# --- files, settings, units --------------------------------------------------------------------


def test_files_that_were_there_before_are_put_back_and_others_go() -> None:
    paths = {"/usr/local/bin/kubelet": FILE, "/etc/crictl.yaml": FILE}
    before = replace(BEFORE, paths={"/etc/crictl.yaml": FILE})
    found = survey({"paths": paths}, before=before, kept={"/etc/crictl.yaml": FILE})
    assert done(found, "file", "previous") == [
        "remove /usr/local/bin/kubelet",
        "restore /etc/crictl.yaml",
    ]
    restored = survey({"paths": {"/etc/crictl.yaml": FILE}}, before=before)
    assert done(restored, "file", "previous") == [], "it is not removed once it is back"


@pytest.mark.parametrize(
    ("was", "kept"),
    [
        pytest.param(None, FILE, id="there was none"),
        pytest.param(FILE, replace(FILE, uid=1000), id="it was root's"),
        pytest.param(FILE, LINK, id="it was no link"),
    ],
)
def test_a_file_that_was_put_among_the_kept_ones_is_not_put_back(
    was: PathFact | None, kept: PathFact
) -> None:
    path = "/etc/systemd/system/kubelet.service"
    before = replace(BEFORE, paths={path: was} if was else {}, asked=frozenset({path}))
    found = survey({"paths": {}}, before=before, kept={path: kept})
    assert done(found, "previous") == []


@pytest.mark.parametrize("before", [replace(BEFORE, asked=frozenset()), None])
def test_a_file_that_no_deployment_here_was_about_is_others(before: Surroundings | None) -> None:
    """A deployer that has got crictl since names files that it never wrote on this host."""
    now = {"paths": {"/etc/crictl.yaml": FILE, "/etc/kubernetes/kubelet.kubeconfig": FILE}}
    found = survey(now, before=before)
    assert done(found, "file") == ["remove /etc/kubernetes/kubelet.kubeconfig"]
    found = replace(found, managed=frozenset({"/etc/crictl.yaml"}))
    assert "remove /etc/crictl.yaml" in done(found, "file")


def test_a_tree_that_the_record_does_not_know_is_left() -> None:
    found = survey({"paths": {KUBELET: FOLDER}}, before=replace(BEFORE, asked=frozenset()))
    assert done(found, "tree") == []
    assert plan(found).stays == (f"{KUBELET}: the record does not say whether it was there before",)


def test_a_folder_where_a_file_belongs_is_left() -> None:
    assert done(survey({"paths": {"/etc/crictl.yaml": FOLDER}}), "file") == []


def test_folders_go_the_inner_first_unless_they_were_there() -> None:
    paths = {"/etc/kubernetes": FOLDER, "/etc/kubernetes/pki": FOLDER}
    assert done(survey({"paths": paths}), "folder") == [
        "remove /etc/kubernetes/pki",
        "remove /etc/kubernetes",
    ]
    before = replace(BEFORE, paths={"/etc/kubernetes": FOLDER})
    assert done(survey({"paths": paths}, before=before), "folder") == ["remove /etc/kubernetes/pki"]


@pytest.mark.parametrize(
    ("was", "now", "put_back"),
    [
        ("0", "1", True),
        ("1", "1", False),
        (None, "1", False),
        ("0", None, False),
        ("32768\t60999", "1024\t65535", True),
        ("0; reboot", "1", False),
    ],
)
def test_a_setting_goes_back_to_the_value_that_was_recorded(
    was: str | None, now: str | None, put_back: bool
) -> None:
    before = replace(BEFORE, settings={} if was is None else {FORWARD: was})
    found = survey({"settings": {} if now is None else {FORWARD: now}}, before=before)
    changes = [c for c in plan(found).rest if c.kind == "setting"]
    assert [c.resource.words for c in changes] == ([(FORWARD, was)] if put_back else [])  # type: ignore[union-attr]


def test_a_unit_that_was_enabled_before_is_enabled_again_and_named_if_it_ran() -> None:
    distribution = UnitState(
        "loaded", "active", "enabled", "/lib/systemd/system/containerd.service"
    )
    before = replace(BEFORE, units={"containerd.service": distribution})
    found = survey(before=before)
    assert done(found, "enabled") == ["restore containerd.service"]
    (text,) = plan(found).stays
    assert text.endswith("systemctl start containerd.service")


def test_fabnodes_own_records_go_last() -> None:
    found = survey({"paths": {"/usr/local/bin/kubelet": FILE}})
    assert plan(found).rest[-1].kind == "records"


# --- network -----------------------------------------------------------------------------------

VETH = "7: cali0123456789a@if2: <UP> mtu 1450 link/ether ee:ee promiscuity 0 veth addrgenmode x"


@pytest.mark.parametrize(
    ("name", "line", "goes"),
    [
        ("cali0123456789a", VETH, True),
        ("cali0123456789a", VETH.replace(" veth ", " dummy "), False),
        ("calibration0", VETH, False),
        ("cali0123456789abc", VETH, False),
        ("vxlan.calico", "8: vxlan.calico: <UP> link/ether x vxlan id 4096 ", True),
        ("vxlanxcalico", "8: vxlanxcalico: <UP> link/ether x vxlan id 4096 ", False),
        ("kube-ipvs0", "9: kube-ipvs0: <> link/ether x dummy ", True),
        ("dummy0", "9: dummy0: <> link/ether x dummy ", False),
        ("wg0", "9: wg0: <> link/none wireguard ", False),
    ],
)
def test_interfaces_go_by_their_whole_name_and_kind(name: str, line: str, goes: bool) -> None:
    found = survey({"interfaces": {name: line}})
    assert done(found, "interface") == ([f"remove {name}"] if goes else [])
    assert foreign(found, SCOPE).get("interfaces", ()) == (() if goes else (name,))
    known = replace(found, before=replace(BEFORE, interfaces={name: line}))
    assert done(known, "interface") == [], "what was there before is somebody else's"


def test_sets_and_tables_go_by_name() -> None:
    nft = tuple(
        line
        for name in ("ip kube-proxy", "inet admin", "ip calico")
        for line in (f"table {name} {{", "\tchain x {", "\t}", "}")
    )
    sets = ("KUBE-CLUSTER-IP", "KUBE-6-LOOP-BACK", "cali40all-ipam-pools", "admin", "calico-mine")
    found = survey({"nft": nft, "sets": sets})
    assert done(found, "set", "table") == [
        "remove KUBE-CLUSTER-IP",
        "remove KUBE-6-LOOP-BACK",
        "remove cali40all-ipam-pools",
        "remove ip kube-proxy",
        "remove ip calico",
    ]
    others = foreign(found, SCOPE)
    assert others["ipsets"] == ("admin", "calico-mine")
    assert [kind for kind in others if kind.startswith("nft")] == ["nft table inet admin"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("blackhole 10.244.1.0/26 proto 80", ("blackhole", "10.244.1.0/26", "proto", "80")),
        ("blackhole 10.244.1.0/26 proto bird", ("blackhole", "10.244.1.0/26", "proto", "bird")),
        (
            "10.244.2.0/26 via 192.0.2.7 dev eth0 proto bird onlink",
            ("10.244.2.0/26", "via", "192.0.2.7", "dev", "eth0", "proto", "bird"),
        ),
        ("10.244.2.0/26 via 192.0.2.7 dev eth0 proto static", None),
        ("blackhole 10.9.0.0/26 proto 80", None),
        ("default via 192.0.2.1 dev eth0 proto bird", None),
    ],
)
def test_routes_go_by_destination_and_protocol(line: str, words: tuple[str, ...] | None) -> None:
    found = survey({"routes": {"4": (line,)}})
    changes = [c for c in plan(found).rest if c.kind == "route"]
    assert [c.resource.words for c in changes] == ([("4", *words)] if words else [])  # type: ignore[union-attr]
    assert (line in foreign(found, SCOPE).get("routes", ())) is not bool(words)


def test_a_foreign_chain_that_leads_to_ours_refuses_it() -> None:
    lines = ("*filter", ":INPUT ACCEPT", ":KUBE-FIREWALL -", ":MINE -", "-A MINE -j KUBE-FIREWALL")
    (refusal,) = plan(survey({"filters": {"iptables-nft": lines}})).refusals
    assert "-A MINE -j KUBE-FIREWALL" in refusal.text


@pytest.mark.parametrize("what", ["filter iptables-nft", "sandbox", "mount", "all"])
def test_more_than_is_read_or_was_shown_refuses_it(what: str) -> None:
    (refusal,) = plan(survey({"cut": frozenset({what})})).refusals
    assert f"more of {what} than is read" in refusal.text


# --- what is reported beside -------------------------------------------------------------------


def test_modules_stay_until_the_next_boot_unless_they_were_loaded() -> None:
    now = {"modules": frozenset({"ip_vs", "overlay", "ext4"})}
    assert plan(survey(now)).stays == ("kernel modules until the next boot: ip_vs, overlay",)
    before = replace(BEFORE, modules=frozenset({"overlay"}))
    assert plan(survey(now, before=before)).stays == ("kernel modules until the next boot: ip_vs",)


def test_without_a_record_it_says_what_is_unknown() -> None:
    (text,) = plan(survey(before=None)).unknown
    assert text.startswith("nobody recorded this host before its first change")
    assert plan(survey()).unknown == ()


def test_a_file_system_for_pinned_maps_is_named_and_left() -> None:
    mount = MountPoint("bpf", "/", "/sys/fs/bpf")
    assert plan(survey({"mounts": (mount,)})).stays[0].startswith("/sys/fs/bpf, mounted since")
    assert plan(survey({"mounts": (mount,)}, before=replace(BEFORE, mounts=(mount,)))).stays == ()


@pytest.mark.parametrize("filters", [{}, {"iptables-nft": ("*filter", ":cali-INPUT -")}])
def test_chains_that_no_program_there_can_read_refuse_it(filters: dict[str, Any]) -> None:
    nft = ("table ip filter {", "\tchain cali-INPUT {", "\t}", "}")
    refusals = plan(survey({"nft": nft, "filters": filters})).refusals
    assert [r.fix for r in refusals] == ([] if filters else ["install the package iptables there"])


def test_a_host_without_the_programs_that_show_it_is_refused() -> None:
    (refusal,) = plan(survey({"lacks": frozenset({"ip", "iptables-legacy-save"})})).refusals
    assert "it has no ip, iptables-legacy-save" in refusal.text
