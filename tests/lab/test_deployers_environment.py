"""What people have on their own machines and at their sites' doors: ssh, second factors, sudo."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from .harness import Done, Lab

SSHD = "/etc/ssh/sshd_config.d/00-fabnode-test.conf"
SUDOERS = "/etc/sudoers.d/zz-fabnode-test"


def facts(lab: Lab, host: str, code: int = 0, **more: Any) -> Done:
    """Look at a host, which takes a login and sudo."""
    environment = more.pop("environment", {})
    begun = lab.begin("-H", host, "facts", program="fabric", **more, **environment)
    return begun.wait(120).expect(code)


@contextmanager
def sshd(lab: Lab, host: str, text: str) -> Iterator[None]:
    """Have a host's sshd go by some more lines for a while."""
    lab.on(host, f"printf '{text}' >{SSHD}; sshd -t && systemctl reload ssh")
    try:
        yield
    finally:
        lab.on(host, f"rm {SSHD}; systemctl reload ssh")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def test_a_second_factor_is_named_and_stdout_stays_json(lab: Lab) -> None:
    text = (
        "KbdInteractiveAuthentication yes\\n"
        "AuthenticationMethods publickey,keyboard-interactive:pam\\n"
    )
    with sshd(lab, "n1", text):
        done = lab.inv("plan", "--json", "--limit", "n1", code=1)
    assert "second factor" in json.dumps(done.document)
    assert "Password:" not in done.out.split("{")[0]


def test_a_host_with_a_certificate_is_known_by_its_ca(lab: Lab, tmp_path: Path) -> None:
    address = next(n["address"] for n in nodes(lab) if n["name"] == "n1")
    ca, key = tmp_path / "ca", tmp_path / "host.pub"
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", ca], check=True)
    first = "sshd -T | awk '$1 == \"hostkey\" {print $2; exit}'"
    key.write_text(lab.on("n1", f'ssh-keygen -yf "$({first})"'))
    sign = ["ssh-keygen", "-qs", str(ca), "-I", "n1", "-h", "-n", address, str(key)]
    subprocess.run(sign, check=True)
    known = tmp_path / "known_hosts"
    authority = " ".join(ca.with_suffix(".pub").read_text().split()[:2])
    known.write_text(f"@cert-authority {address} {authority}\n")
    config = lab.config(ssh={"known_hosts": [str(known)]})
    facts(lab, "n1", code=1, config=config)
    certificate = (tmp_path / "host-cert.pub").read_text().strip()
    lab.on("n1", f"echo '{certificate}' >/etc/ssh/fabnode-test-cert.pub")
    with sshd(lab, "n1", "HostCertificate /etc/ssh/fabnode-test-cert.pub\\n"):
        facts(lab, "n1", config=config)


def nodes(lab: Lab) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(lab.configuration.read_text())["nodes"]
    return found


@pytest.mark.parametrize(
    "text",
    [
        "Host *\n  ProxyJump none\nHost *\n  ProxyJump nowhere.invalid\n",
        "Match final all\n  User nobody-at-all\n",
        "Include more\n",
        "Match exec false\n  Port 2222\n",
    ],
)
def test_the_ssh_configuration_is_read_as_ssh_reads_it(lab: Lab, home: Path, text: str) -> None:
    (home / ".ssh" / "config").write_text(text)
    facts(lab, "n1", environment={"HOME": str(home)})


def test_sudo_that_has_its_own_prompt_is_answered(lab: Lab) -> None:
    rule = 'Defaults passprompt="Kennwort: "\\nDefaults passprompt_override\\n'
    lab.on("n2", f"printf '{rule}' >{SUDOERS}; chmod 440 {SUDOERS}; visudo -c")
    try:
        facts(lab, "n2")
    finally:
        lab.on("n2", f"rm {SUDOERS}")


def changed(lab: Lab, folder: Path, kind: str, **fields: object) -> Path:
    """Return a configuration whose kubeconfig has some fields more."""
    document = yaml.safe_load(lab.layout.kubeconfig.read_text())
    document[f"{kind}s"][0][kind].update(fields)
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    path.chmod(0o600)
    return lab.config(cluster={"kubeconfig": str(path)}, timeouts={"api": 2})


def test_an_impersonated_user_has_no_more_rights_than_his_own(lab: Lab, tmp_path: Path) -> None:
    config = changed(lab, tmp_path, "user", **{"as": "nobody-at-all"})
    printed = lab.inv("approve-csr", code=1, config=config)
    assert 'User "nobody-at-all" cannot' in printed.out + printed.err


def test_a_proxy_of_the_kubeconfig_is_gone_through(lab: Lab, tmp_path: Path) -> None:
    config = changed(lab, tmp_path, "cluster", **{"proxy-url": "http://127.0.0.1:9"})
    printed = lab.inv("approve-csr", code=1, config=config)
    assert "through the proxy 127.0.0.1" in printed.out + printed.err
