"""Whose keys lie on a host, and who can read them."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from fabnode.audit.credentials import public_der
from fabnode.audit.finding import Quarantine, RestrictMode
from fabnode.audit.repair import repairs
from fabnode.node.examination import Evidence, Program, Provenance, SecretFile

from ..support import authority, pem
from .support import (
    OWN,
    anchor,
    issued,
    judged,
    only,
    public,
    secret,
    self_signed,
    sound,
    with_files,
)

STRAY = "/etc/kubernetes/ssl/some.pem"


def ca_key() -> str:
    return public(authority()[1])


def test_nothing_is_wrong_with_a_sound_host() -> None:
    assert judged(sound()) == []


def test_the_cas_key_is_found_by_its_public_half_whatever_its_name() -> None:
    found = only(judged(with_files(secret(STRAY, keys=(ca_key(),)))))
    assert (found.check, found.severity, found.subject) == ("ca-key", "critical", STRAY)
    assert found.repairs == (Quarantine(STRAY),)
    assert "public half" in found.seen


def test_a_public_half_may_come_from_openssl() -> None:
    key = authority()[1].public_key()
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert public_der(ca_key()) == der
    for rubbish in ("", "spki", "spki !!", "spki AAAA", "ssh-rsa AAAA", "ssh-rsa é"):
        assert public_der(rubbish) is None


def test_another_cas_key_is_bad_enough() -> None:
    certificate, key = issued("etcd-ca", ca=True)
    files = (
        secret("/etc/etcd/ca.pem", certificates=(certificate,)),
        secret("/etc/etcd/key", keys=(key,)),
    )
    found = only(judged(with_files(*files)))
    assert (found.check, found.severity) == ("ca-key", "high")


def test_a_key_that_could_not_be_read_is_judged_by_its_name_and_says_so() -> None:
    found = only(judged(with_files(secret("/etc/kubernetes/ssl/ca-key.pem", keys=("",)))))
    assert (found.check, found.severity) == ("ca-key", "high")
    assert "by its name only" in found.seen
    assert judged(with_files(secret("/etc/kubernetes/ssl/other.pem", keys=("",)))) == []


@pytest.mark.parametrize("group", ["system:masters", "kubeadm:cluster-admins"])
def test_an_admin_kubeconfig_is_found_by_its_certificate(group: str) -> None:
    certificate, key = issued("whoever", group)
    file = secret("/root/.kube/c", certificates=(certificate,), keys=(key,), kubeconfig=True)
    found = only(judged(with_files(file)))
    assert (found.check, found.severity) == ("admin-credentials", "critical")
    assert group in found.text
    # Even where the host could not read the key beside it.
    assert only(judged(with_files(replace(file, keys=("",))))).check == "admin-credentials"


def test_a_certificate_without_its_key_is_nobodys_secret() -> None:
    certificate, _ = issued("admin", "system:masters")
    assert judged(with_files(secret(STRAY, mode=0o644, certificates=(certificate,)))) == []


@pytest.mark.parametrize("name", ["system:node:n2", "system:kube-scheduler", "kube-apiserver"])
def test_others_keys_are_found(name: str) -> None:
    certificate, key = issued(name)
    found = only(judged(with_files(secret(STRAY, certificates=(certificate,), keys=(key,)))))
    assert found.check == "foreign-key"


OTHER_KUBECONFIG = "/etc/kubernetes/kubelet.kubeconfig"
BESIDE = "/etc/kubernetes/ssl/kubelet-key.pem"


def joined_as(name: str, *, named: bool = False, **file: Any) -> Evidence:
    """Return a host whose kubelet goes by a certificate in this name, as kubeasz writes it."""
    certificate, key = file.pop("pair", None) or issued(name)
    held = "/etc/kubernetes/ssl/kubelet.pem" if named else OTHER_KUBECONFIG
    running = file.pop("running", True)
    kubelet = Program(("/usr/bin/kubelet", f"--kubeconfig={OTHER_KUBECONFIG}"), running)
    it = with_files(
        secret(held, certificates=(certificate,), keys=(key,), **file),
        secret(BESIDE, keys=(key,)),
    )
    names = {"client-certificate": (held,)} if named else {}
    anchors = {**it.anchors, OTHER_KUBECONFIG: anchor(names=names)}
    return replace(it, programs={**it.programs, "kubelet": kubelet}, anchors=anchors)


@pytest.mark.parametrize("named", [False, True])
def test_a_kubelet_that_has_joined_under_another_name_holds_its_own_key(named: bool) -> None:
    seen = judged(joined_as("system:node:n9", named=named))
    found = only([f for f in seen if f.check in {"other-name", "foreign-key"}])
    assert (found.check, found.severity, found.repairs) == ("other-name", "medium", ())
    assert found.fix.startswith("call it n9 in the configuration")


def test_a_kubelet_that_names_a_link_to_its_newest_certificate_holds_its_own_key() -> None:
    it = joined_as("system:node:n9", named=True)
    held, link = "/etc/kubernetes/ssl/kubelet.pem", "/var/lib/kubelet/pki/newest.pem"
    anchors = {**it.anchors, OTHER_KUBECONFIG: anchor(names={"client-certificate": (link,)})}
    files = {**it.files, held: replace(it.files[held], used_by=(link,))}
    seen = judged(replace(it, anchors=anchors, files=files))
    found = only([f for f in seen if f.check in {"other-name", "foreign-key"}])
    assert found.check == "other-name"


@pytest.mark.parametrize(
    "host",
    [
        joined_as("system:node:n9", running=False),
        joined_as("system:node:n9", uid=1000),
        joined_as("system:node:n9", controlled=False),
        joined_as("system:node:n9", pair=self_signed("system:node:n9", "system:nodes")),
        joined_as("system:kube-scheduler"),
    ],
)
def test_who_only_could_be_that_node_is_not_believed(host: Evidence) -> None:
    checks = {finding.check for finding in judged(host)}
    assert "foreign-key" in checks
    assert "other-name" not in checks


def test_on_a_control_plane_they_belong() -> None:
    it = with_files(secret(STRAY, keys=(ca_key(),)), control_plane=("kube-apiserver",))
    assert judged(it) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"used_by": ("/etc/cron.d/x",)}, "in use"),
        ({"controlled": False}, "others than root"),
        ({"uid": 1000}, "others than root"),
    ],
)
def test_what_is_used_or_not_roots_alone_is_left_where_it_is(
    change: dict[str, Any], reason: str
) -> None:
    found = only(judged(with_files(secret(STRAY, keys=(ca_key(),), **change))))
    assert found.repairs == ()
    assert reason in found.by_hand


def test_a_key_that_a_configuration_names_is_in_use() -> None:
    it = sound()
    path = "/etc/kubernetes/ssl/ca.pem"
    found = only(judged(with_files(secret(path, keys=(ca_key(),)))))
    assert "in use: /var/lib/kubelet/config.yaml" in found.by_hand
    assert it.files[path].keys == ()


@pytest.mark.parametrize(
    ("mode", "reachable", "severity"),
    [(0o644, True, "high"), (0o604, True, "high"), (0o644, False, "low"), (0o640, True, "low")],
)
def test_open_secrets(mode: int, reachable: bool, severity: str) -> None:
    _, key = issued("x")
    found = only(judged(with_files(secret(STRAY, keys=(key,), mode=mode, reachable=reachable))))
    assert (found.check, found.severity) == ("open-secret", severity)
    assert found.repairs == (RestrictMode(STRAY),)


@pytest.mark.parametrize(
    ("mode", "reachable", "severity"),
    [(0o666, True, "high"), (0o602, True, "high"), (0o666, False, "low"), (0o660, True, "low")],
)
def test_what_others_could_write_is_not_made_roots_by_a_mode(
    mode: int, reachable: bool, severity: str
) -> None:
    """Who has it open goes on writing it, and what it says would be believed from then on."""
    _, key = issued("x")
    evidence = with_files(secret(STRAY, keys=(key,), mode=mode, reachable=reachable))
    found = only(judged(evidence))
    assert (found.check, found.severity, found.repairs) == ("open-secret", severity, ())
    assert found.by_hand.startswith("others than root could write it")
    assert found.fix.startswith(
        f"replace the secret in it; to keep the file: install -m 600 {STRAY}"
    )
    assert repairs(evidence, judged(evidence)).wanted == ()


def test_open_files_without_a_secret_are_fine() -> None:
    certificate, _ = issued("x")
    assert judged(with_files(secret(STRAY, mode=0o644, certificates=(certificate,)))) == []


def bootstrap(**how: Any) -> SecretFile:
    return secret("/etc/kubernetes/bootstrap.kubeconfig", kubeconfig=True, **how)


def test_static_tokens_go_once_the_node_has_its_certificate() -> None:
    found = only(judged(with_files(bootstrap(tokens=("static",)))))
    assert (found.check, found.severity) == ("static-token", "medium")
    assert found.repairs == (Quarantine(found.subject),)
    assert only(judged(with_files(bootstrap(tokens=("bootstrap",))))).severity == "low"


def test_a_token_that_is_still_needed_stays() -> None:
    it = with_files(bootstrap(tokens=("static",)))
    files = {path: file for path, file in it.files.items() if not path.startswith("/var/lib")}
    found = only(judged(replace(it, files=files)))
    assert found.repairs == ()
    assert "no certificate of its own" in found.by_hand
    short, key = issued("system:node:n1", "system:nodes", years=0.02)
    files["/k"] = secret("/k", certificates=(short,), keys=(key,))
    assert "ends in" in only(judged(replace(it, files=files))).by_hand


def test_other_kubeconfigs_may_have_tokens() -> None:
    file = secret("/etc/cni/net.d/calico-kubeconfig", kubeconfig=True, tokens=("jwt",))
    assert judged(with_files(file)) == []


def test_an_apiservers_token_list() -> None:
    found = only(judged(with_files(secret("/etc/kubernetes/ssl/token.csv", tokens=("csv",)))))
    assert (found.check, found.severity) == ("token-file", "high")


@pytest.mark.parametrize(
    ("years", "ca", "severity"),
    [
        (1, False, None),
        (3, False, "low"),
        (50, False, "medium"),
        (10, True, None),
        (100, True, "low"),
    ],
)
def test_long_certificates(years: float, ca: bool, severity: str | None) -> None:
    certificate, _ = issued("x", years=years, ca=ca)
    found = judged(with_files(secret(STRAY, certificates=(certificate,))))
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_one_certificate_in_several_files_is_reported_once() -> None:
    certificate, _ = issued("x", years=50)
    files = [secret(f"/k/{n}", certificates=(certificate,)) for n in range(3)]
    assert only(judged(with_files(*files))).subject == "/k/0, /k/1, /k/2"


def test_what_an_earlier_run_put_aside_is_reported() -> None:
    found = only(judged(sound(quarantined=("/var/lib/fabnode/quarantine/x",))))
    assert found.severity == "low"
    assert "shred -u" in found.fix


def test_a_file_that_is_put_aside_needs_no_mode() -> None:
    it = with_files(secret(STRAY, keys=(ca_key(),), mode=0o644))
    found = judged(it)
    assert {f.check for f in found} == {"ca-key", "open-secret"}
    wanted = repairs(it, found).wanted
    assert [type(w.resource).__name__ for w in wanted] == ["Quarantined"]


def test_rubbish_for_certificates_is_passed_over() -> None:
    rubbish = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
    assert judged(with_files(secret(STRAY, certificates=(rubbish,)))) == []
    assert pem(authority()[0])


MALLORYS = "/home/mallory/a.pem"


def test_a_certificate_that_anybody_made_accuses_nobodys_key() -> None:
    """Public keys are public: so are certificates for them, unless the cluster's CA signed."""
    pem_text, key = self_signed("admin", "system:masters")
    accusing = secret(MALLORYS, uid=1000, controlled=False, certificates=(pem_text,))
    found = only(judged(with_files(secret(STRAY, keys=(key,)), accusing)))
    assert (found.check, found.severity) == ("admin-credentials", "medium")
    assert found.repairs == ()
    assert "trustworthy" in found.by_hand
    # People follow advice: none of it is about the key.
    assert found.text.startswith(f"a certificate in {MALLORYS} (owner uid 1000) claims")
    assert "remove it" not in f"{found.text} {found.fix}"
    assert "key" not in found.fix
    assert MALLORYS in found.fix
    # The same in a file of root's own is believed.
    own = secret("/etc/kubernetes/a.pem", certificates=(pem_text,))
    assert only(judged(with_files(secret(STRAY, keys=(key,)), own))).repairs == (Quarantine(STRAY),)


def test_a_claim_about_one_key_hides_nothing_of_another_in_the_same_file() -> None:
    """A claim has the first check's name, and the lesser weight."""
    signed, admins = issued("admin", "system:masters")
    claim, other = issued("mine", ca=True, own=True)
    true = secret("/etc/kubernetes/admin.pem", certificates=(signed,))
    file = secret(STRAY, keys=(other, admins))
    for accusing in ((), (secret(MALLORYS, uid=1000, controlled=False, certificates=(claim,)),)):
        (found,) = [f for f in judged(with_files(file, true, *accusing)) if f.subject == STRAY]
        assert (found.check, found.severity) == ("admin-credentials", "critical")
        assert found.repairs == (Quarantine(STRAY),)


def test_what_the_clusters_ca_signed_accuses_wherever_it_lies() -> None:
    certificate, key = issued("admin", "system:masters")
    signed = secret(MALLORYS, uid=1000, controlled=False, certificates=(certificate,))
    found = only(judged(with_files(secret(STRAY, keys=(key,)), signed)))
    assert (found.severity, found.provenance) == ("critical", Provenance.ROOT_ONLY)
    # Who can read the CA's key makes such certificates of any key: none is moved for one.
    assert found.repairs == ()
    assert MALLORYS in found.by_hand
    assert "take the key away" in found.fix
    assert found.fix.startswith("find out who made the certificate")
    own = secret("/etc/kubernetes/a.pem", certificates=(certificate,))
    found = only(judged(with_files(secret(STRAY, keys=(key,)), signed, own)))
    assert found.repairs == (Quarantine(STRAY),), "a file of root's own says the same"


@pytest.mark.parametrize("proved", ["system:masters", "kube-apiserver"])
def test_what_the_cas_key_made_of_one_key_keeps_no_other_in_the_file(proved: str) -> None:
    """Who can read the CA's key must not have harden leave a file that root's own files accuse."""
    own, accused = issued(proved, proved)
    claim, first = issued("admin", "system:masters")
    true = secret("/etc/kubernetes/a.pem", certificates=(own,))
    signed = secret(MALLORYS, uid=1000, controlled=False, certificates=(claim,))
    file = secret(STRAY, keys=(first, accused))
    alone = only(judged(with_files(file, true)))
    assert alone.repairs == (Quarantine(STRAY),)
    found = judged(with_files(file, true, signed))
    assert alone in found
    # It is true as well, and worse than the other: it is reported besides, and has nothing moved.
    others = [f for f in found if f != alone]
    assert [(f.severity, f.repairs) for f in others] == (
        [] if proved == "system:masters" else [("critical", ())]
    )


def test_a_key_is_not_accused_without_whose_certificate_it_is() -> None:
    certificate, key = issued("admin", "system:masters")
    signed = secret(MALLORYS, uid=1000, controlled=False, certificates=(certificate,))
    found = only(judged(with_files(secret(STRAY, keys=(key,)), signed)))
    assert f"by the certificate in {MALLORYS} (owner uid 1000)" in found.text


def test_a_copy_changes_nothing_of_what_is_reported_about_roots_certificate() -> None:
    certificate, _ = issued("whoever", years=20)
    own = secret(STRAY, certificates=(certificate,))
    alone = only(judged(with_files(own)))
    copy = secret(MALLORYS, uid=1000, controlled=False, certificates=(certificate,))
    found = judged(with_files(own, copy))
    assert alone in found
    assert [f.subject for f in found] == [STRAY, MALLORYS]
    assert [f.provenance for f in found] == [Provenance.ROOT_ONLY, Provenance.OTHERS_MAY_WRITE]


def test_no_path_reads_as_that_of_another_file() -> None:
    certificate, _ = issued("whoever", years=20)
    path = f"/home/mallory/a, {STRAY}"
    file = secret(path, uid=1000, controlled=False, certificates=(certificate,))
    assert only(judged(with_files(file))).subject == shlex.quote(path)


@pytest.mark.parametrize("managed", [True, False])
@pytest.mark.parametrize("kind", ["client", "server"])
def test_a_kubelets_pair_that_others_could_write_is_made_anew_by_it(
    kind: str, managed: bool
) -> None:
    """Of a node of fabnode's a deployment sees to that; of others' nobody here does."""
    folder = "/var/lib/kubelet/pki"
    path = f"{folder}/kubelet-{kind}-2026-01-01-00-00-00.pem"
    certificate, key = issued("system:node:n1", "system:nodes")
    it = with_files(secret(path, mode=0o660, certificates=(certificate,), keys=(key,)))
    units = frozenset({"kubelet.service"} if managed else ())
    found = only(judged(replace(it, managed=units)))
    assert (found.check, found.repairs) == ("open-secret", ())
    assert ("`inv deploy-nodes` has the kubelet make another" in found.fix) is managed
    assert (f"readlink {folder}/kubelet-{kind}-current.pem" in found.fix) is managed


@pytest.mark.parametrize("name", ["system:node:n1", "system:kube-proxy"])
def test_what_lives_too_long_a_renewal_replaces(name: str) -> None:
    """A deployment keeps a certificate that is good."""
    certificate, _ = issued(name, "system:nodes", years=20)
    found = only(judged(with_files(secret("/etc/kubernetes/x.pem", certificates=(certificate,)))))
    assert found.check == "long-certificate"
    assert found.fix.startswith("`inv rotate-certs`")


@pytest.mark.parametrize("change", [{"mode": 0o660}, {"uid": 1000}, {"controlled": False}])
def test_only_what_is_roots_alone_is_moved(change: dict[str, Any]) -> None:
    found = judged(with_files(secret(STRAY, keys=(ca_key(),), **change)))
    assert not any(isinstance(repair, Quarantine) for f in found for repair in f.repairs)


def test_where_nobody_knows_who_uses_a_key_it_stays() -> None:
    it = with_files(secret(STRAY, keys=(ca_key(),)), users_known=False)
    found = {f.check: f for f in judged(it)}
    assert found["ca-key"].repairs == ()
    assert found["unseen"].severity == "medium"


def test_a_nodes_certificate_in_anybodys_file_makes_no_token_needless() -> None:
    it = with_files(bootstrap(tokens=("static",)))
    files = {**it.files, OWN: replace(it.files[OWN], controlled=False)}
    found = only(judged(replace(it, files=files)))
    assert found.repairs == ()
    assert "no certificate of its own" in found.by_hand


def test_a_limit_is_never_quiet() -> None:
    found = only(judged(sound(limited=("/home/mallory: files beyond the first 20",))))
    assert (found.check, found.severity) == ("unseen", "medium")


@pytest.mark.parametrize("name", ["admin.key", "ca.key", "cakey.pem"])
def test_a_key_that_came_too_late_is_not_moved_by_its_name(name: str) -> None:
    """Whoever keeps the processors busy would have any service's key taken away."""
    file = secret(f"/root/vpn/{name}", keys=("",))
    assert only(judged(with_files(file))).repairs
    found = only(judged(with_files(replace(file, late=True))))
    assert found.repairs == ()
    assert found.by_hand == "whose key it is was not known in time"


@pytest.mark.parametrize(
    ("uid", "controlled", "fix"),
    [
        (0, True, "chmod 600 /home/m/k.pem"),
        (1000, True, "chmod 600 /home/m/k.pem"),
        (1000, False, "have its owner, uid 1000, run chmod 600 /home/m/k.pem"),
        (0, False, "move it into a folder that is root's alone: "),
    ],
)
def test_the_advice_to_close_a_file_leads_to_no_other(uid: int, controlled: bool, fix: str) -> None:
    """Who may put a link in its place waits for root to follow the advice."""
    _, key = issued("x")
    file = secret("/home/m/k.pem", mode=0o644, keys=(key,), uid=uid, controlled=controlled)
    (found,) = (f for f in judged(with_files(file)) if f.check == "open-secret")
    assert found.fix.startswith(fix)
    assert found.fix == fix or "chmod 600" not in found.fix


def test_a_fix_is_no_shell_of_whoever_named_the_file() -> None:
    """People copy it into root's shell."""
    evil = "/home/m/$(id)'; id #.pem"
    _, key = issued("x")
    (found,) = judged(with_files(secret(evil, mode=0o644, keys=(key,))))
    assert shlex.split(found.fix) == ["chmod", "600", evil]
    (left,) = judged(sound(quarantined=(evil,)))
    assert shlex.split(left.fix.partition(": ")[2]) == ["shred", "-u", evil]
