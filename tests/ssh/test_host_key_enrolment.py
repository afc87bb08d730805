"""Known_hosts files, and how keys come into them."""

from __future__ import annotations

import stat
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from paramiko.hostkeys import HostKeys

from fabnode.ssh import known_hosts
from fabnode.ssh.connections import Access
from fabnode.ssh.errors import ChangedHostKeyError, HostMisbehavedError
from fabnode.ssh.host_key_enrolment import enrol
from fabnode.ssh.known_hosts import KnownHosts, fingerprint, host_id
from fabnode.util.errors import HostError

from .server import key

if TYPE_CHECKING:
    from fabnode.ssh.host_key_enrolment import Offer

    from .conftest import NodeOf, Serve


def line(patterns: str, name: str = "a") -> str:
    return f"{patterns} {key(name).get_name()} {key(name).get_base64()} a comment\n"


@pytest.mark.parametrize(
    ("patterns", "name", "known"),
    [
        ("n1", "n1", True),
        ("n1", "n2", False),
        ("n0,n1", "n1", True),
        ("n*", "n12", True),
        ("n?", "n12", False),
        ("*,!n1", "n1", False),
        ("[n1]:2222", "[n1]:2222", True),
        ("[n1]:2222", "n1", False),
        pytest.param(HostKeys.hash_host("n1"), "n1", True, id="its hash"),
        pytest.param(HostKeys.hash_host("n1"), "n2", False, id="the hash of another"),
        ("|1|%%%|x", "n1", False),
        ("N1.Example.com", "n1.example.com", True),
        ("*.Example.com,!N2.*", "n1.example.com", True),
        ("*.Example.com,!N2.*", "n2.example.com", False),
        ("n1.example.com", "N1.Example.com", True),
    ],
)
def test_names_are_matched_as_openssh_does(
    tmp_path: Path, patterns: str, name: str, known: bool
) -> None:
    file = tmp_path / "known"
    file.write_text("# a comment\n\nnonsense\n" + line(patterns))
    assert (KnownHosts.read([file]).keys(name) == [key("a")]) is known


@pytest.mark.parametrize("blanks", ["  ", "\t", " \t "])
@pytest.mark.parametrize("marker", ["", "@revoked", "@cert-authority"])
def test_blanks_and_tabs_separate_words(tmp_path: Path, blanks: str, marker: str) -> None:
    """As in files that people align; OpenSSH reads them so."""
    file = tmp_path / "known"
    file.write_text(blanks + marker + blanks + line("n1").replace(" ", blanks))
    known = KnownHosts.read([file])
    read = {"": known.keys, "@revoked": known.revoked, "@cert-authority": known.authorities}
    assert list(read[marker]("n1")) == [key("a")]


@pytest.mark.parametrize("damaged", ["AAAA", "AAAA=", "AAAAC3NzaC1lZDI1NTE5AAAAAA==", "%%%", ""])
@pytest.mark.parametrize("kind", ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ssh-dss", "x"])
def test_a_damaged_line_is_passed_over(tmp_path: Path, kind: str, damaged: str) -> None:
    file = tmp_path / "known"
    file.write_text(f"n1 {kind} {damaged}\n" + line("n1"))
    assert KnownHosts.read([file]).keys("n1") == [key("a")]


def test_a_server_is_recorded_in_lowercase_as_openssh_asks_for_it(tmp_path: Path) -> None:
    file = tmp_path / "known"
    KnownHosts.read([file]).record(host_id("N1.Example.com", 2222), [key("a")])
    assert file.read_text().startswith("[n1.example.com]:2222 ")


def test_revoked_keys_are_not_trusted(tmp_path: Path) -> None:
    file = tmp_path / "known"
    file.write_text(line("n1") + "@revoked " + line("*") + line("n1", "b"))
    assert KnownHosts.read([file]).keys("n1") == [key("b")]


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert KnownHosts.read([tmp_path / "none"]).keys("n1") == []


def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    file = tmp_path / "key.pub"
    file.write_text(f"{key('a').get_name()} {key('a').get_base64()}\n")
    try:
        printed = subprocess.run(
            ["ssh-keygen", "-l", "-f", file], capture_output=True, text=True, check=True
        ).stdout
    except FileNotFoundError:
        pytest.skip("no ssh-keygen here")
    assert printed.split()[1] == fingerprint(key("a"))


def test_recording_keeps_what_is_there_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "ssh" / "known"
    file.parent.mkdir()
    file.write_text("# mine\nother ssh-rsa AAAA")  # no line end
    KnownHosts.read([file]).record("n1", [key("a")])
    assert file.read_text().startswith("# mine\nother ssh-rsa AAAA\n")
    assert KnownHosts.read([file]).keys("n1") == [key("a")]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["known"]


def test_a_known_hosts_that_is_a_symlink_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)
    KnownHosts.read([link]).record("n1", [key("a")])
    assert link.is_symlink()
    assert "n1" in real.read_text()


@pytest.mark.parametrize("other", ["b", "rsa-b", "ed25519-b"])
def test_a_server_that_is_known_gets_no_further_key(tmp_path: Path, other: str) -> None:
    file = tmp_path / "known"
    file.write_text(line("n1", "a"))
    with pytest.raises(ValueError, match=r"ssh-keygen -R 'n1'"):
        KnownHosts.read([file]).record("n1", [key(other)])
    assert file.read_text() == line("n1", "a")
    KnownHosts.read([file]).record("n1", [key("a")])
    assert file.read_text() == line("n1", "a")


@pytest.mark.parametrize(
    ("held", "asked_for", "file"),
    [
        (("host", "rsa-host", "ed25519-host"), "ed25519-host", "ssh_host_ed25519_key.pub"),
        (("host", "rsa-host"), "host", "ssh_host_ecdsa_key.pub"),
        (("rsa-host",), "rsa-host", "ssh_host_rsa_key.pub"),
    ],
)
def test_one_key_is_shown_and_recorded_once(
    serve: Serve, node_of: NodeOf, held: tuple[str, ...], asked_for: str, file: str
) -> None:
    server = serve(host_keys=held)
    node = node_of(server, known=())
    asked = []

    def yes(offer: Offer) -> bool:
        asked.append(offer)
        return True

    with Access() as access:
        (offer,) = enrol(access, node, yes)
        assert offer.state == "recorded"
        assert offer.name == host_id("127.0.0.1", server.port)
        (again,) = enrol(access, node, yes)
    assert (again.state, again.keys) == ("known", (key(asked_for),))
    assert len(asked) == 1
    assert asked[0].fingerprints == (f"{key(asked_for).get_name()} {fingerprint(key(asked_for))}",)
    assert asked[0].commands == (f"ssh-keygen -lf /etc/ssh/{file}",)
    assert KnownHosts.read(node.ssh.known_hosts).keys(offer.name) == [key(asked_for)]


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (("ed25519-host",), ("host-of-mallory", "rsa-of-mallory", "ed25519-of-mallory")),
        (("ed25519-of-mallory",), ("ed25519-host", "host-of-mallory", "rsa-of-mallory")),
        (("host-of-mallory",), ("ed25519-host", "host-of-mallory", "rsa-of-mallory")),
        (("ed25519-host", "host-of-mallory", "rsa-of-mallory"), ()),
    ],
    ids=["lets the first pass", "answers the first", "has no such key", "answers other types"],
)
@pytest.mark.parametrize("given", [False, True], ids=["asked", "--fingerprint"])
def test_who_answers_for_one_type_of_key_is_not_recorded(
    serve: Serve, node_of: NodeOf, first: tuple[str, ...], later: tuple[str, ...], given: bool
) -> None:
    """Somebody in between answers some connections himself; the operator compares each key."""
    node = node_of(serve(host_keys=first, later_keys=later), known=())
    right = fingerprint(key("ed25519-host"))

    def compared(offer: Offer) -> bool:
        return all(text.split()[1] == right for text in offer.fingerprints)

    with Access() as access, suppress(ChangedHostKeyError):
        if given:
            enrol(access, node, lambda _: pytest.fail("asked"), {node.name: [right]})
        else:
            enrol(access, node, compared)
    recorded = Path(node.ssh.known_hosts[0]).read_text()
    assert key("host-of-mallory").get_base64() not in recorded
    assert key("rsa-of-mallory").get_base64() not in recorded
    assert key("ed25519-of-mallory").get_base64() not in recorded
    assert bool(recorded) is (first[0] == "ed25519-host")


@pytest.mark.parametrize("given", [False, True], ids=["asked", "--fingerprint"])
@pytest.mark.parametrize("known", ["host", "rsa-host", "ed25519-host"])
def test_a_host_known_by_one_type_is_asked_for_that_and_gets_no_other(
    serve: Serve, node_of: NodeOf, known: str, given: bool
) -> None:
    node = node_of(serve(host_keys=("ed25519-host", "host", "rsa-host")), known=(known,))
    before = Path(node.ssh.known_hosts[0]).read_text()
    with Access() as access:
        expected = {node.name: [fingerprint(key(known))]} if given else {}
        (offer,) = enrol(access, node, lambda _: pytest.fail("asked"), expected)
    assert (offer.state, offer.keys) == ("known", (key(known),))
    assert Path(node.ssh.known_hosts[0]).read_text() == before


@pytest.mark.parametrize("fingerprints", [(), ("host", "rsa-host")])
def test_a_host_known_by_a_type_it_no_longer_shows_has_changed(
    serve: Serve, node_of: NodeOf, fingerprints: tuple[str, ...]
) -> None:
    node = node_of(serve(host_keys=("host", "rsa-host")), known=("ed25519-host",))
    before = Path(node.ssh.known_hosts[0]).read_text()
    given = {node.name: [fingerprint(key(name)) for name in fingerprints]}
    with (
        Access() as access,
        pytest.raises(ChangedHostKeyError, match="known_hosts has a different one"),
    ):
        enrol(access, node, lambda _: True, given)
    assert Path(node.ssh.known_hosts[0]).read_text() == before


def test_declined_keys_are_not(serve: Serve, node_of: NodeOf) -> None:
    node = node_of(serve(), known=())
    (offer,) = enrol(Access(), node, lambda _: False)
    assert offer.state == "declined"
    assert Path(node.ssh.known_hosts[0]).read_text() == ""


def test_given_fingerprints_stand_for_a_confirmation_of_their_key_only(
    serve: Serve, node_of: NodeOf
) -> None:
    server = serve(host_keys=("host", "rsa-host"))
    node = node_of(server, known=())
    given = {node.name: [fingerprint(key("rsa-host"))]}
    (offer,) = enrol(Access(), node, lambda _: pytest.fail("asked"), given)
    assert offer.keys == (key("rsa-host"),)
    assert KnownHosts.read(node.ssh.known_hosts).keys(offer.name) == [key("rsa-host")]


def test_fingerprints_that_do_not_match_record_nothing(serve: Serve, node_of: NodeOf) -> None:
    node = node_of(serve(), known=())
    with pytest.raises(ChangedHostKeyError, match="none of the given fingerprints"):
        enrol(Access(), node, lambda _: True, {node.name: [fingerprint(key("other"))]})
    assert Path(node.ssh.known_hosts[0]).read_text() == ""


def test_a_known_key_other_than_the_given_one_is_not_called_known(
    serve: Serve, node_of: NodeOf
) -> None:
    """Who asks whether it is this key must not be told yes because of another."""
    node = node_of(serve(host_keys=("ed25519-host", "host")), known=("host",))
    given = {node.name: [fingerprint(key("ed25519-host"))]}
    with (
        Access() as access,
        pytest.raises(ChangedHostKeyError, match="known by that key, which is none of the given"),
    ):
        enrol(access, node, lambda _: pytest.fail("asked"), given)


def test_nobody_answers_for_a_host_by_the_key_of_another(serve: Serve, node_of: NodeOf) -> None:
    """Root of one host has its key, and its fingerprint is given in the same call."""
    node = node_of(serve(host_keys=("host",)), known=())
    for given in (
        {"another": [fingerprint(key("host"))]},
        {"another": [fingerprint(key("host"))], node.name: [fingerprint(key("other"))]},
    ):
        with Access() as access, pytest.raises(HostError):
            enrol(access, node, lambda _: pytest.fail("asked"), given)
    assert Path(node.ssh.known_hosts[0]).read_text() == ""


def test_a_gateway_answers_for_no_node_behind_it(serve: Serve, node_of: NodeOf) -> None:
    """A captured jump host shows its own key for each address that it is asked for."""
    gateway, behind = serve(host_keys=("gateway",)), serve(host_keys=("gateway",))
    node = node_of(behind, known=(), gateway=f"root@127.0.0.1:{gateway.port}")
    own = {host_id("127.0.0.1", gateway.port): [fingerprint(key("gateway"))]}
    with Access() as access, pytest.raises(HostMisbehavedError, match="none of the fingerprints"):
        enrol(access, node, lambda _: pytest.fail("asked"), own)
    (recorded,) = Path(node.ssh.known_hosts[0]).read_text().splitlines()
    assert recorded.startswith(host_id("127.0.0.1", gateway.port))
    # For the node alone is none for the gateway.
    Path(node.ssh.known_hosts[0]).write_text("")
    given = {node.name: [fingerprint(key("gateway"))]}
    with Access() as access, pytest.raises(HostMisbehavedError, match="none of the fingerprints"):
        enrol(access, node, lambda _: pytest.fail("asked"), given)
    assert Path(node.ssh.known_hosts[0]).read_text() == ""


def test_a_changed_key_is_not_overwritten(serve: Serve, node_of: NodeOf) -> None:
    node = node_of(serve(), known=("other",))
    before = Path(node.ssh.known_hosts[0]).read_text()
    with pytest.raises(ChangedHostKeyError):
        enrol(Access(), node, lambda _: True)
    assert Path(node.ssh.known_hosts[0]).read_text() == before


def test_the_gateway_comes_first(serve: Serve, node_of: NodeOf) -> None:
    gateway, server = serve(host_keys=("gateway",)), serve()
    node = node_of(server, known=(), gateway=f"root@127.0.0.1:{gateway.port}")
    with Access() as access:
        offers = enrol(access, node, lambda _: True)
    assert [(o.name, o.state) for o in offers] == [
        (host_id("127.0.0.1", gateway.port), "recorded"),
        (host_id("127.0.0.1", server.port), "recorded"),
    ]


def test_of_many_plain_lines_only_those_of_the_name_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of a thousand hosts asks for its own, and a file has a line for each."""
    file = tmp_path / "known_hosts"
    public = f"{key('a').get_name()} {key('a').get_base64()}"
    other = f"{key('b').get_name()} {key('b').get_base64()}"
    names = [f"N{number},192.0.2.{number}" for number in range(100)]
    lines = [f"{name} {public}" for name in names]
    file.write_text("\n".join([f"n? {other}", *lines, f"@revoked n9 {other}"]))
    looked: list[str] = []
    plain = known_hosts._names

    def counted(patterns: str, name: str) -> bool:
        looked.append(patterns)
        return plain(patterns, name)

    monkeypatch.setattr(known_hosts, "_names", counted)
    known = KnownHosts.read([file])
    assert known.keys("n7") == [key("b"), key("a")], "in the order of the lines"
    assert known.keys("192.0.2.9") == [key("a")]
    assert known.keys("n9") == [key("a")]
    assert known.keys("n100") == []
    assert len(looked) < 20
