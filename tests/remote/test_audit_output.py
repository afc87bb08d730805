"""What a host may say when it is looked at, and all that it may not."""

from __future__ import annotations

import base64
import contextlib
import hashlib

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fabnode.audit.judge import judge
from fabnode.audit.repair import repairs
from fabnode.cli.findings_view import plan_lines
from fabnode.deploy.hardening import Audit, plan_of
from fabnode.node.examination import Asked, Evidence, Provenance
from fabnode.remote.audit_output import parse
from fabnode.remote.limits import MalformedError

from ..audit.support import NOW
from ..support import authority, pem

_LIMITS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA"
FILE = "file\t600\t0\t1\t1\tpem\t/root/k"
CONFIG = "file\t644\t0\t1\t1\tkubeconfig\t/root/c"


def seen(*lines: str, nonce: str = "n") -> Evidence:
    return parse("".join(f"{line}\n" for line in (*lines, f"end\t{nonce}")).encode(), nonce="n")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def text_line(content: str, path: str = "/x") -> str:
    digest = hashlib.sha256(content.encode()).hexdigest()
    return f"text\t644\t1\t{digest}\t{b64(content)}\t{path}"


def test_the_host_and_its_programs() -> None:
    it = seen(
        "uptime\t12.5",
        "swap\t/dev/sda2",
        "control\tetcd",
        "control\tetcd",
        "unit\tkubelet.service\tActiveState=active",
        "unit\tkubelet.service\tSubState=running",
        "unit\tkubelet.service\tNRestarts=3",
        "unit\tkubelet.service\tActiveEnterTimestampMonotonic=2500000",
        "unit\tkubelet.service\tFragmentPath=/u",
        "unit\tkubelet.service\tDropInPaths=/d1 /d2",
        "managed\tkubelet.service",
        "program\tkubelet\thost",
        "arg\tkubelet\t/usr/bin/kubelet",
        "arg\tkubelet\t--v=2",
        "cwd\tkubelet\t/opt/kube",
        "program\tdockerd\tdown",
        "proxied",
        "rules\tnat",
        "rule\tnat\t-A INPUT -j ACCEPT",
        "quarantined\t/var/lib/fabnode/quarantine/q",
        "limit\t/home/m",
        "unseen\twhat\tever",
    )
    assert it.control_plane == ("etcd",)
    assert it.programs["kubelet"].args == ("/usr/bin/kubelet", "--v=2")
    assert it.programs["kubelet"].cwd == "/opt/kube"
    assert not it.programs["dockerd"].running
    assert it.programs["dockerd"].cwd == ""
    unit = it.units["kubelet.service"]
    assert (unit.restarts, unit.since, unit.files) == (3, 2.5, ("/u", "/d1", "/d2"))
    assert it.rules == {"nat": ("-A INPUT -j ACCEPT",)}
    assert it.unseen == ("what\tever",)
    assert it.limited == ("/home/m",)


def test_files() -> None:
    certificate = pem(authority()[0]).decode().strip()
    lines = [f"pem\t{line}" for line in certificate.split("\n")]
    it = seen(
        FILE,
        *lines,
        f"key\t{KEY}\t/root/k",
        "key\t\t/root/k",
        CONFIG,
        f"certificate_data\t{b64(certificate)}\t/root/c",
        "token\tstatic\t/root/c",
        "used\t/etc/cron.d/x\t/root/k",
        "used\t/etc/cron.d/x\t/somebody/elses",
    )
    assert it.files["/root/k"].certificates == (certificate,)
    assert it.files["/root/k"].keys == (KEY, "")
    assert it.files["/root/k"].used_by == ("/etc/cron.d/x",)
    assert it.files["/root/c"].certificates == (certificate,)
    assert it.files["/root/c"].kubeconfig
    assert it.files["/root/c"].mode == 0o644


def test_texts() -> None:
    it = seen(text_line("a: 1\n"), f"text\t600\t0\t{'0' * 64}\t-\t/hidden")
    assert it.texts["/x"].content == b"a: 1\n"
    assert it.texts["/hidden"].content is None
    assert not it.texts["/hidden"].controlled


def test_a_text_without_its_environment_is_not_the_file() -> None:
    part = seen(f"text\t644\t1\t-\t{b64('x')}\t/x").texts["/x"]
    assert (part.content, part.sha256) == (b"x", "")
    unread = seen("text\t644\t0\t-\t-\t/x").texts["/x"]
    assert (unread.content, unread.sha256, unread.controlled) == (None, "", False)


def test_anchors() -> None:
    certificate = pem(authority()[0]).decode().strip()
    it = seen(
        f"anchor\t1\t1\t{b64(certificate)}\t/opt/anywhere/ca.pem",
        "anchor\t0\t0\t-\t/etc/kubernetes/manifests",
        "anchor\t1\t0\t\t/k",
        "anchor_names\tcertificate-authority\t/opt/a b.pem",
        "anchor_names\tserver\thttp",
        "anchor_names\tcertificate-authority\t/opt/c.pem",
    )
    ca, folder, kubeconfig = it.anchors.values()
    assert (ca.provenance, ca.certificates, ca.blocks) == (
        Provenance.ROOT_ONLY,
        (certificate,),
        1,
    )
    assert (folder.provenance, folder.blocks) == (Provenance.OTHERS_MAY_WRITE, 0)
    assert kubeconfig.names == {
        "certificate-authority": ("/opt/a b.pem", "/opt/c.pem"),
        "server": ("http",),
    }
    assert it.files == {}  # nothing that is moved


@pytest.mark.parametrize(
    ("uid", "mode", "controlled", "alone"),
    [
        ("0", "600", "1", True),
        ("0", "644", "1", True),
        ("1000", "600", "1", False),
        ("0", "600", "0", False),
        ("0", "660", "1", False),  # also what an ACL lets others write
        ("0", "602", "1", False),
    ],
)
def test_provenance(uid: str, mode: str, controlled: str, alone: bool) -> None:
    file = seen(f"file\t{mode}\t{uid}\t1\t{controlled}\tpem\t/root/k").files["/root/k"]
    assert (file.provenance is Provenance.ROOT_ONLY) == alone


@pytest.mark.parametrize(
    "line",
    [
        "",
        "what",
        "uptime\tx",
        "program\tsshd\thost",
        "program\tkubelet\telsewhere",
        "arg\tkubelet\tx",
        "control\tsshd",
        "file\t8\t0\t1\t1\tpem\t/root/k",
        "file\t600\t-1\t1\t1\tpem\t/root/k",
        "file\t600\t0\t2\t1\tpem\t/root/k",
        "file\t600\t0\t1\t1\tother\t/root/k",
        "file\t600\t0\t1\t1\tpem\trelative",
        # Outside of what is searched, or on the way there and back.
        "file\t600\t0\t1\t1\tpem\t/etc/ssh/ssh_host_ed25519_key",
        "file\t600\t0\t1\t1\tpem\t/root",
        "file\t600\t0\t1\t1\tpem\t/rootkit/k",
        "file\t600\t0\t1\t1\tpem\t/root/../etc/ssh/key",
        "file\t600\t0\t1\t1\tpem\t/root//k",
        "file\t600\t0\t1\t1\tpem\t//root/k",
        "file\t600\t0\t1\t1\tpem\t/root/./k",
        "file\t600\t0\t1\t1\tpem\t/root/a\tb",
        "file\t600\t0\t1\t1\tpem\t/root/a\0b",
        "file\t600\t0\t1\t1\tpem\t/root/.ssh/id",
        "file\t600\t0\t1\t1\tpem\t/var/lib/kubelet/pods/x/k",
        "file\t600\t0\t1\t1\tpem\t/root/" + "x" * 5000,
        "quarantined\t/etc/shadow",
        "quarantined\t/var/lib/fabnode/quarantine/../../../etc/shadow",
        "program\tkubelet\tcontainer",
        "version\tKubernetes v1.37.2",
        f"text\t644\t1\t-\t{b64('x')}\t/x/../y",
        f"{FILE}\n{FILE}",
        f"key\t{KEY}\t/unannounced",
        "pem\tx",
        f"{FILE}\npem\tx\t/root/k",
        f"{FILE}\nkey\t-----BEGIN PRIVATE KEY-----\t/root/k",
        f"{FILE}\ntoken\tabc\t/root/k",
        f"{FILE}\ncertificate_data\t!!\t/root/k",
        "anchor\t2\t0\t-\t/x",
        "anchor\t1\tx\t-\t/x",
        "anchor\t1\t0\t!\t/x",
        "anchor\t1\t0\t-\t/" + "x" * 4000,
        "anchor_names\tserver\thttp",
        "anchor\t1\t0\t-\t/x\nanchor_names\tpassword\tx",
        "\n".join(f"anchor\t1\t0\t-\t/{n}" for n in range(41)),
        "anchor\t1\t0\t-\t/x" + "\nanchor_names\tserver\thttp" * 300,
        "rule\tnat\tx",
        "rules\tmangle",
        f"text\t644\t1\t{'0' * 64}\t{b64('x')}\t/x",
        "text\t644\t1\tx\t-\t/x",
        "unit\tx\tActiveState=active\nunit\tx\tNRestarts=-1",
        "unit\tx\tActiveEnterTimestampMonotonic=1e999",
        "swap\t" + "x" * 2**15,
    ],
)
def test_what_no_host_says_is_malformed(line: str) -> None:
    with pytest.raises(MalformedError):
        seen(line)


def test_more_files_than_can_be_are_malformed() -> None:
    with pytest.raises(MalformedError):
        seen(*(f"{FILE}{n}" for n in range(4500)))


@pytest.mark.parametrize("output", [b"", b"end\tn", b"end\tm\n", b"uptime\t1\n", b"\xff\xfe\n"])
def test_a_cut_answer_is_malformed(output: bytes) -> None:
    with pytest.raises(MalformedError):
        parse(output, nonce="n")


_WORDS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "0",
            "1",
            "644",
            "600",
            "/root/k",
            "/etc/systemd/system/kubelet.service",
            "kubelet",
            "kube-proxy",
            "kubelet.service",
            "host",
            "--config=/x",
            "--anonymous-auth=true",
            "--bootstrap-kubeconfig=/root/c",
            "filter",
            "nat",
            "-A INPUT -j ACCEPT",
            "ActiveState=active",
            "FragmentPath=/x",
            "static",
            "pem",
            "certificate-authority",
            "--client-ca-file=/root/k",
            "--kubeconfig=/root/c",
            "\x1b[31mred\u202e",
            KEY,
        ]
    ),
)
_TAGS = st.sampled_from(
    (
        *(
            "uptime",
            "swap",
            "blocks",
            "limit",
            "control",
            "managed",
            "unit",
            "program",
            "arg",
            "text",
        ),
        *("file", "pem", "certificate_data", "key", "token", "used", "rules", "rule"),
        *(
            "anchor",
            "anchor_names",
            "proxied",
            "proxied_unknown",
            "quarantined",
            "unseen",
            "users_unknown",
            "listening",
            "listener",
        ),
    )
)
_CONTENTS = st.sampled_from(
    [
        "[Service]\nExecStart=/usr/bin/kubelet --v=2\nExecStartPost=/sbin/iptables -A INPUT -j X",
        "a: [",
        "authentication: {anonymous: {enabled: true}}\nreadOnlyPort: 10255\n",
        "readOnlyPort: 0x" + "f" * 9000,
        "a: &a [x, x]\n"
        + "".join(f"b{n}: &b{n} [*b{n - 1}, *b{n - 1}]\n" for n in range(1, 30)).replace(
            "*b0", "*a"
        )
        + "readOnlyPort: *b29\n",
        "[Service]\nExecStartPost=/sbin/iptables -A " + " " * 50_000 + "!",
        "[Service]\nExecStartPost=" + "iptables " * 6000,
        "authorization: AlwaysAllow\nauthentication: []\niptables: 3\nmode: []\n",
    ]
) | st.text(max_size=60)
_LINES = st.one_of(
    st.builds(lambda tag, words: "\t".join([tag, *words]), _TAGS, st.lists(_WORDS, max_size=7)),
    st.builds(text_line, _CONTENTS, st.sampled_from(["/x", "/etc/systemd/system/kubelet.service"])),
    st.sampled_from(
        [
            FILE,
            CONFIG,
            f"key\t{KEY}\t/root/k",
            "key\t\t/root/c",
            "anchor\t1\t0\t-\t/root/c",
            "anchor_names\tcertificate-authority\t/root/c",
            "program\tkubelet\thost",
            "program\tkube-proxy\thost",
            "arg\tkubelet\t--config=/x",
            "arg\tkube-proxy\t--config=/x",
            "unit\tkubelet.service\tFragmentPath=/etc/systemd/system/kubelet.service",
            "rules\tfilter",
            "rule\tfilter\t-A INPUT -j ACCEPT",
            "token\tstatic\t/root/c",
        ]
    ),
    st.text(max_size=60),
)


@_LIMITS
@given(st.lists(_LINES, max_size=25), st.sampled_from([None, 0, 200, 401]))
@example(["program\tkubelet\thost", "arg\tkubelet\tk", "arg\tkubelet\t--config=/x"], 200)
def test_whatever_a_host_says_it_is_judged_or_malformed(lines: list[str], pods: int | None) -> None:
    """Never anything else; and what would be done for it can be shown on any terminal."""
    try:
        evidence = seen(*(line.replace("\n", " ") for line in lines))
    except MalformedError:
        return
    found = judge(evidence, Asked(pods, pods), node="n1", ca_pem=pem(authority()[0]), now=NOW)
    plan = plan_of("n1", repairs(evidence, found))
    for line in plan_lines(Audit((), plan)):
        assert all(char.isprintable() or char == "\t" for char in line), line


@_LIMITS
@given(st.binary(max_size=300))
def test_any_bytes_are_malformed_or_nothing(output: bytes) -> None:
    with contextlib.suppress(MalformedError):
        parse(output + b"\nend\tn\n", nonce="n")


@pytest.mark.parametrize(
    "public", ["sk-ssh-ed25519@openssh.com AAAAGnNr", "ssh-rsa " + "A" * 1950, "ssh-rsa AAAA=="]
)
def test_a_public_key_of_another_kind_is_no_reason_to_refuse_a_host(public: str) -> None:
    """A developer's FIDO key in a home: what can't be compared counts as not known."""
    reported = seen(FILE, f"key\t{public}\t/root/k").files["/root/k"].keys
    assert reported == (public if len(public) < 20 else "",)
