"""
Hosts other than a plain Debian 12 with bash, sudo and coreutils: `make test-hosts`.

Nobody logs in as root. n1's sudo has a secure_path without /usr/local/bin, and its /usr is
read-only; n2 has sudo-rs, which asks for a password, and rust-coreutils; n3's login shell is tcsh.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .harness import Lab

pytestmark = pytest.mark.hosts

# Debian puts them beside the programs that they replace; Ubuntu makes them the only ones.
_RUST = "/usr/lib/cargo/bin"
SHAPES = {
    # Calico mounts /lib/modules, which is there wherever a kernel boots.
    "n1": "mkdir -p /usr/lib/modules && mount --bind /usr /usr && mount -o remount,bind,ro /usr &&"
    " echo 'Defaults secure_path=\"/sbin:/bin:/usr/sbin:/usr/bin\"' >/etc/sudoers.d/zz-path",
    "n2": f"ln -sf {_RUST}/coreutils/* /usr/bin/ && ln -sf $(command -v sudo-rs) /usr/bin/sudo",
    "n3": "chsh -s /bin/tcsh dev",
}
# What the login user of each sees there, and whether it succeeds.
WITNESSES = [
    ("n1", "dev", "sudo -n touch /usr/local/bin/x", "Read-only file system"),
    ("n1", "dev", "sudo -n env | grep ^PATH=", "PATH=/sbin:/bin:/usr/sbin:/usr/bin\n"),
    ("n2", "ops", "sudo --version", "sudo-rs"),
    ("n2", "ops", "timeout --version", "timeout 0.0."),
    ("n3", "dev", "echo $shell", "/bin/tcsh"),
]


@pytest.fixture(scope="module")
def shaped(trixie_lab: Lab) -> Path:
    """Hosts as above, and the configuration that fits them."""
    for host, command in SHAPES.items():
        trixie_lab.disturb(host, command)
    return trixie_lab.config(nodes={"n1": {"ssh": {"user": "dev"}}}, paths={"programs": "/opt/bin"})


@pytest.mark.usefixtures("shaped")
@pytest.mark.parametrize(("host", "user", "command", "printed"), WITNESSES)
def test_a_host_is_as_described(
    host: str, user: str, command: str, printed: str, trixie_lab: Lab
) -> None:
    options = ("--user", user, "--command", f"{command}; true", "--name", trixie_lab.layout.name)
    assert printed in trixie_lab.inv("lab.ssh", host, *options).text


def test_a_whole_deployment(shaped: Path, trixie_lab: Lab) -> None:
    done = trixie_lab.deploy(config=shaped)
    assert done.results == dict.fromkeys(SHAPES, "changed")
    assert [check for check in done.document["checks"] if not check["ok"]] == []
    assert {f"pod on {name}" for name in SHAPES} <= {c["name"] for c in done.document["checks"]}


def test_a_second_one_changes_nothing(shaped: Path, trixie_lab: Lab) -> None:
    before = {name: trixie_lab.starts(name) for name in SHAPES}
    assert trixie_lab.deploy(config=shaped).results == dict.fromkeys(SHAPES, "unchanged")
    assert {name: trixie_lab.restarted(starts) for name, starts in before.items()} == {
        name: set() for name in SHAPES
    }


@pytest.mark.parametrize("words", [("verify",), ("audit",), ("certs",), ("plan", "--exit-code")])
def test_inspection_is_content(words: tuple[str, ...], shaped: Path, trixie_lab: Lab) -> None:
    trixie_lab.inv(*words, config=shaped)
