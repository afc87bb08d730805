"""The probe's answer: what it may say, and all that it may not."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabnode.node.facts import DefaultRoute, Facts, Listener, PathFact, Space
from fabnode.remote.limits import CERTIFICATE_FILES, COPIES, MalformedError
from fabnode.remote.probe_output import parse

SHA = "ab" * 32
CERT = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
KEY = "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----"


def answer(*lines: str, nonce: str = "n") -> bytes:
    base = ("clock\t1000.5", "kernel\t6.1.0")
    return "".join(f"{line}\n" for line in (*base, *lines, f"end\t{nonce}")).encode()


def facts(*lines: str) -> Facts:
    return parse(answer(*lines), nonce="n", sent=990.0, received=991.0)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_the_machine() -> None:
    seen = facts(
        "os\tdebian\t12",
        "hostname\tn1",
        f"machine_id\t{'0a' * 16}",
        "boot_id\tb",
        "uptime\t12.5",
        "arch\tx86_64",
        "cgroup\t2",
        "memory\tMemTotal:\t1000",
        "memory\tSwapTotal:\t1",
        "address\t2: host0    inet 10.0.0.1/24 brd 10.0.0.255 scope global host0\\ valid_lft 1",
        "address\t2: host0    inet6 fe80::1/64 scope link \\       valid_lft forever",
        "address\t2: host0    inet6 2001:db8::1/64 scope global \\       valid_lft forever",
        "ipv6\t0",
        "ipv6_default\thost0\t00450003\t1",
        "tool\tzstd",
        "space\t2 2048 7 9 ext2/ext3\t/var/lib",
        "space\t2 2048 0 0 btrfs\t/etc",
        "module\toverlay",
        "missing\tipip",
        "sysctl\tnet.ipv4.ip_local_port_range\t32768\t60999",
        "no_sysctl\tnet.nosuch.key",
        'listener\tLISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=7,fd=3),("x",pid=8))  ',
        "listener\tLISTEN 0      4096         [::]:8080        [::]:*          ",
    )
    assert seen.known
    assert seen.clock_offset == 10.0
    assert (seen.os_id, seen.os_version, seen.hostname, seen.arch) == (
        "debian",
        "12",
        "n1",
        "amd64",
    )
    assert (seen.machine_id, seen.boot_id, seen.uptime) == ("0a" * 16, "b", 12.5)
    assert (seen.cgroup, seen.memory, seen.swap) == (2, 1024000, 1024)
    assert seen.addresses == ("10.0.0.1", "fe80::1", "2001:db8::1")
    assert [str(each.network) for each in seen.networks] == ["10.0.0.0/24", "2001:db8::/64"]
    assert (seen.ipv6, seen.ipv6_defaults) == (
        "on",
        (DefaultRoute("host0", advertised=True, accept_ra=1),),
    )
    assert seen.tools == {"zstd"}
    assert seen.space == {
        "/var/lib": Space(4096, 7, "ext2/ext3"),
        "/etc": Space(4096, None, "btrfs"),
    }
    assert (seen.modules, seen.missing_modules) == (
        frozenset({"overlay"}),
        frozenset({"ipip"}),
    )
    assert seen.sysctls == {"net.ipv4.ip_local_port_range": "32768 60999"}
    assert seen.missing_sysctls == {"net.nosuch.key"}
    assert seen.listeners == (Listener(22, "sshd"), Listener(8080, ""))


@pytest.mark.parametrize("held", ["uninitialized", "", "0A" * 16, "0a" * 15])
def test_what_is_no_machine_id_is_none(held: str) -> None:
    """Two images that were never booted are not one machine."""
    assert facts(f"machine_id\t{held}").machine_id == ""


def test_paths() -> None:
    seen = facts(
        "path\t81a4\t0\t0\t2\t/etc/a b",
        "path\t81a4\t0\t0\t2\t/etc/c",
        "path\t81a4\t0\t0\t3\t/etc/d",
        f"digest\t{SHA}\t/etc/a b",
        f"digest\t{sha('ho')}\t/etc/c",
        f"digest\t{sha('hey')}\t/etc/d",
        "text\t2\t/etc/a b",
        "text\t2\t/etc/c",
        "text\t3\t/etc/d",
        f"texts\t{b64('hihohey')}",
        "path\t41ed\t0\t7\t9\t/etc",
        "path\ta1ff\t0\t0\t9\t/link",
        "path\t11a4\t0\t0\t0\t/fifo",
    )
    assert seen.paths == {
        "/etc/a b": PathFact("file", 0o644, 0, 0, 2, SHA),  # it is something else by now
        "/etc/c": PathFact("file", 0o644, 0, 0, 2, sha("ho"), b"ho"),
        "/etc/d": PathFact("file", 0o644, 0, 0, 3, sha("hey"), b"hey"),
        "/etc": PathFact("directory", 0o755, 0, 7, 9),
        "/link": PathFact("symlink", 0o777, 0, 0, 9),
        "/fifo": PathFact("other", 0o644, 0, 0, 0),
    }
    assert seen.path("/not asked for").kind == "absent"


def test_what_another_tools_kubelet_left() -> None:
    seen = facts(
        "client\t'/etc/n1.pem'\t/etc/k",
        "pod_cgroups\tcgroupfs",
        "pod_cgroups\tsystemd",
        "static_pod\tnginx proxy.yml",
    )
    assert seen.clients == {"/etc/k": "/etc/n1.pem"}
    assert seen.pod_cgroups == {"cgroupfs", "systemd"}
    assert seen.static_pods == ("nginx proxy.yml",)
    with pytest.raises(MalformedError):
        facts(*(f"static_pod\t{n}" for n in range(21)))


def test_units() -> None:
    seen = facts(
        "unit\tk.service\tLoadState=loaded",
        "unit\tk.service\tActiveState=active",
        "unit\tk.service\tSubState=running",
        "unit\tk.service\tUnitFileState=enabled",
        "unit\tk.service\tNRestarts=3",
        "unit\tk.service\tNeedDaemonReload=yes",
        "unit\tk.service\tActiveEnterTimestampMonotonic=2500000",
        f"stamp\tk.service\t{SHA}\t/usr/bin/k x",
    )
    unit = seen.unit("k.service")
    assert (unit.load, unit.running, unit.enabled) == ("loaded", True, "enabled")
    assert (unit.restarts, unit.reload, unit.started) == (3, True, 2.5)
    assert unit.stamp == {"/usr/bin/k x": SHA}
    assert not seen.unit("other.service").running


def test_certificates_and_nothing_else_of_their_files() -> None:
    lines = [f"certificate\t{line}\t/a.pem" for line in f"{CERT}\n{KEY}\n{CERT}".split("\n")]
    seen = facts(
        *lines, f"certificate_data\t{b64(KEY + chr(10) + CERT)}\t/k", "server\t'https://x'\t/k"
    )
    assert {path: found.pem for path, found in seen.certificates.items()} == {
        "/a.pem": f"{CERT}\n{CERT}\n",
        "/k": f"{CERT}\n",
    }
    assert seen.servers == {"/k": "https://x"}


def test_mtus_and_what_of_connection_tracking_cant_be_set() -> None:
    path = "/sys/module/nf_conntrack/parameters/hashsize"
    seen = facts("mtu\teth0\t1500", f"conntrack\tmissing\t{path}")
    assert (seen.mtus, seen.conntrack) == ({"eth0": 1500}, {path: "missing"})


def test_images() -> None:
    assert facts().images is None
    assert facts("images").images == frozenset()
    seen = facts("images", "image\tdocker.io/library/x:1", f"archive\t{SHA}\tdocker.io/library/x:1")
    assert seen.images == frozenset({"docker.io/library/x:1"})
    assert seen.image_archives == {"docker.io/library/x:1": SHA}
    assert seen.pinned == frozenset()
    assert facts("images", "image\tx:1", "image\ty:1", "pinned\ty:1").pinned == {"y:1"}


@pytest.mark.parametrize(
    ("lines", "stub"),
    [
        (["resolved", "resolv\tnameserver 127.0.0.53"], True),
        (["resolved", "resolv\tnameserver 10.0.0.1"], False),
        (["resolv\tnameserver 127.0.0.53"], False),
    ],
)
def test_resolv_conf_behind_systemd_resolved(lines: list[str], stub: bool) -> None:
    assert facts(*lines).systemd_resolved is stub


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"end\tn",
        b"end\tn\n",
        answer(nonce="other"),
        answer()[:-3],
        answer() + b"more\n",
        answer("nonsense"),
        answer("cgroup\ttwo"),
        answer("cgroup\t1.5"),
        answer("cgroup"),
        answer("uptime\tnan"),
        answer("uptime\t1e300"),
        answer("cgroup\t" + "9" * 5000),
        answer("path\tzz\t0\t0\t0\t/x"),
        answer(f"digest\t{SHA}\t/never asked for"),
        answer("path\t81a4\t0\t0\t4\t/x", "digest\tshort\t/x"),
        answer("path\t81a4\t0\t0\t4\t/x", "text\tlong\t/x"),
        answer("path\t81a4\t0\t0\t4\t/x", "text\t1\t/x", "texts\t!!!"),
        answer("text\t1\t/never asked for", "texts\t"),
        answer("free\t12\t/x"),
        answer("image\tbefore images"),
        answer("listener\tsomething"),
        answer("ipv6\t2"),
        answer("ipv6_default\thost0\t0x\t1"),
        answer("ipv6_default\thost0\t00000003\tmany"),
        answer("hostname\t" + "x" * 500_000),
        answer("unit\tk.service\tNRestarts=many"),
    ],
)
def test_anything_else_is_refused(output: bytes) -> None:
    with pytest.raises(MalformedError):
        parse(output, nonce="n", sent=0, received=0)


TAGS = st.sampled_from(
    """
    clock os hostname machine_id boot_id uptime kernel arch memory cgroup address resolv
    resolved listener tool free module missing sysctl no_sysctl path digest text texts certificate
    certificate_data server mtu ipv6 ipv6_default conntrack unit stamp images image pinned archive
    end
    """.split()  # noqa: SIM905 - a list of thirty-five strings is no easier to read
)
FIELDS = st.lists(
    st.one_of(
        st.sampled_from(["/x", "81a4", "0", "-1", SHA, "aGk=", "u.service", "ActiveState=active"]),
        st.text(max_size=8).filter(lambda text: "\n" not in text),
    ),
    max_size=6,
)


@given(st.binary(max_size=300))
def test_hostile_bytes(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse(data, nonce="a nonce nobody guesses", sent=0, received=0)


@given(st.lists(st.tuples(TAGS, FIELDS), max_size=12))
def test_hostile_lines_give_facts_or_malformed_and_nothing_else(
    lines: list[tuple[str, list[str]]],
) -> None:
    output = answer(*("\t".join((tag, *fields)) for tag, fields in lines))
    try:
        seen = parse(output, nonce="n", sent=0, received=0)
    except MalformedError:
        return
    assert seen.known
    assert all(fact.sha256 is None or len(fact.sha256) == 64 for fact in seen.paths.values())


def test_only_so_many_files_with_certificates_are_parsed() -> None:
    """Each costs the deployer time; a probe asks for a few."""
    lines = [f"certificate\tx\t/{n}" for n in range(CERTIFICATE_FILES)]
    assert len(facts(*lines, *lines).certificates) == CERTIFICATE_FILES
    with pytest.raises(MalformedError, match="files with certificates"):
        facts(*lines, "certificate_data\tAA==\t/more")


def test_a_certificate_of_any_length_is_read_or_unreadable() -> None:
    """A block as large as the answer may be is not worth parsing: that file is unreadable."""
    body = [f"certificate\t{'A' * 60000}\t/a"] * 3
    seen = facts(
        "certificate\t-----BEGIN CERTIFICATE-----\t/a",
        *body,
        "certificate\t-----END CERTIFICATE-----\t/a",
    )
    held = seen.certificate("/a")
    assert len(held.pem) > 180_000
    assert held.certificate is None
    assert seen.certificate("/b").pem == ""


def test_copies_of_programs_come_in_their_order_and_in_a_limited_number() -> None:
    lines = (f"copy\t{SHA}\t/b/x", f"copy\t{'cd' * 32}\t/b/y", f"copy\t{SHA}\t/a/x")
    assert facts(*lines).copies == {SHA: ("/b/x", "/a/x"), "cd" * 32: ("/b/y",)}
    with pytest.raises(MalformedError, match="not a digest"):
        facts("copy\tab\t/b/x")
    with pytest.raises(MalformedError, match="unexpected line"):
        facts(*(f"copy\t{SHA}\t/b/{number}" for number in range(COPIES + 1)))
