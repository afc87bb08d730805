"""`inv audit` where a host's programs can't be started, are ended or fail: never quiet."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fabnode.node.examination import Evidence
from fabnode.remote.audit_output import complaints, parse
from fabnode.remote.examine import script
from fabnode.remote.limits import MalformedError
from fabnode.remote.script_assembly import PROGRAMS

from ..support import authority, pem
from .local import SHELLS, Tools

CERT = pem(authority()[0]).decode()
NOBODY = 61234  # of whom no process runs
PIDS = "\n".join(["MainPID=0"] * 7)


class Host:
    """A folder of root's with a certificate, and an audit of it."""

    def __init__(self, folder: Path, shell: list[str]) -> None:
        self.root, self._shell = folder / "etc", shell
        self.root.mkdir()
        (self.root / "a.pem").write_text(CERT)
        self.tools = Tools(folder / "tools")
        self.tools.add("iptables", "exit 1")
        self.tools.add("systemctl", f"case $* in *'-p MainPID --'*) echo '{PIDS}' ;; esac")
        for name in ("calls.log", "iptables", "systemctl"):
            path = folder / "tools" / name
            path.touch()
            path.chmod(0o777)
        self._state = str(folder / "state")

    def audit(self, before: Callable[[], None] | None = None) -> Evidence | None:
        """Return what an audit saw, None where it says that it saw not all."""
        code = script("n", state=self._state, roots=[str(self.root)], users=[str(self.root)])
        done = subprocess.run(
            [*self._shell, "-s"],
            input=code,
            capture_output=True,
            env=self.tools.env,
            timeout=300,
            check=False,
            preexec_fn=before,
        )
        self.reported = complaints(done.stderr, nonce="n")
        if done.returncode or self.reported:
            return None
        try:
            found = parse(done.stdout, nonce="n", roots=[str(self.root)], state=self._state)
        except MalformedError:
            return None
        return None if found.limited else found


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """Of pytest's own folder a user has no use: each run that begins closes it again."""
    shell: list[str] = getattr(request, "param", ["sh"])
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Host(Path(folder), shell)


def test_a_host_with_all_of_them_has_nothing_to_say(host: Host) -> None:
    found = host.audit()
    assert found
    assert list(found.files) == [str(host.root / "a.pem")]


FAULTS = {
    "find": "exit 1",  # without a word, as no find ever does
    "grep": "kill -9 $$",
    "awk": "exit 126",
    "stat": "exit 127",
    "timeout": "exit 125",
    "sort": "kill -TERM $$",
    "readlink": "exit 127",
    "cat": "kill -9 $$",
    "systemctl": "kill -9 $$",
}


@pytest.mark.parametrize("program", FAULTS)
def test_a_program_that_ends_otherwise_than_by_itself_is_reported(host: Host, program: str) -> None:
    if program == "readlink":
        (host.root / "to").symlink_to(host.root / "a.pem")
    host.tools.add(program, FAULTS[program])
    assert host.audit() is None


def test_a_helper_of_a_search_that_is_killed_is_reported(host: Host) -> None:
    """As the owner of a folder can, with whose rights it is searched."""
    grep = shutil.which("grep")
    host.tools.add("grep", f'case $* in *a.pem*) kill -9 $$ ;; esac; exec {grep} "$@"')
    assert host.audit() is None
    assert any("grep" in each for each in host.reported)


@pytest.mark.parametrize(
    ("reported", "honest"),
    [
        ("find: '/etc/x': No such file or directory", True),  # it went meanwhile
        ("find: '/etc/x': Permission denied", False),  # root is not refused where it can see all
        ("find: cannot fork: Resource temporarily unavailable", False),
        ("find: 'grep' terminated by signal 9", False),
        ("find: 'grep': Permission denied", False),
        ("find: '/etc/x': Too many open files in system", False),
        ("grep: memory exhausted", False),
    ],
)
def test_what_a_search_says_is_reported_but_for_files_that_went(
    host: Host, reported: str, honest: bool
) -> None:
    find = shutil.which("find")
    host.tools.add("find", f'echo "{reported}" >&2; exec {find} "$@"')
    assert bool(host.audit()) is honest
    assert honest or any(reported in each for each in host.reported)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("host", SHELLS[:1], indirect=True)
@pytest.mark.parametrize("kind", ["processes", "descriptors"])
def test_where_a_resource_is_used_up_less_is_never_seen_without_a_word(
    host: Host, kind: str
) -> None:
    def limited(most: int) -> Callable[[], None]:
        what = resource.RLIMIT_NPROC if kind == "processes" else resource.RLIMIT_NOFILE

        def before() -> None:
            os.setgroups([])
            os.setgid(NOBODY)
            if most:
                resource.setrlimit(what, (most, most))
            os.setuid(NOBODY)

        return before

    whole = host.audit(limited(0))
    assert whole, host.reported
    seen = [host.audit(limited(most)) for most in (1, 2, 3, 4, 5, 6)]
    assert None in seen
    for found in seen:
        assert found is None or found.files == whole.files


SILENCED = re.compile(r"2>\s*(/dev/null|&-)|&>")
BUILTINS = re.compile(r"(\bcd -P -- \S+|\{ read -r name <\S+; \}) 2>/dev/null")


def lines_of_examine() -> list[str]:
    scripts = files("fabnode.remote") / "scripts"
    parts = set(PROGRAMS["examine"]) - {"shared/started"}
    lines = [
        line
        for part in parts
        for line in scripts.joinpath(f"{part}.sh").read_text("utf-8").splitlines()
        if not line.lstrip().startswith("#")
    ]
    assert len(lines) > 500
    return lines


def test_no_program_that_is_judged_loses_its_reader() -> None:
    """Those of rust-coreutils abort then, where others end by a signal that is expected."""
    early = re.compile(r"\b(quiet|judged)\b[^|]*\|\s*(grep -\w*q|head)")
    assert early.search("! quiet stat -c %i -- $all | grep -qx 1")
    assert not [line for line in lines_of_examine() if early.search(line)]


def test_nothing_but_builtins_is_silenced() -> None:
    """Where a shell's standard error goes nowhere, what it could not start goes unsaid."""
    lines = lines_of_examine()
    assert not [line for line in lines if SILENCED.search(line) and not BUILTINS.search(line)]


REPORTED = {
    "nothing": ("begin\tn\n", ()),
    "a login shell's noise": ("motd\nbegin\tn\n", ()),
    "what a shell could not start": (
        "begin\tn\nsh: 3: Cannot fork\nsh: 3: Cannot fork\n",
        ("something that could not be done: sh: 3: Cannot fork",),
    ),
    "no beginning": ("", ("whether all of it was done: the host's standard error is missing",)),
    "another's beginning": (
        "begin\tm\n",
        ("whether all of it was done: the host's standard error is missing",),
    ),
    "letters for a terminal": (
        "begin\tn\n\x1b[2Jx\n",
        ("something that could not be done: [2Jx",),
    ),
}


@pytest.mark.parametrize(("printed", "expected"), REPORTED.values(), ids=REPORTED)
def test_what_is_printed_on_standard_error_is_a_limit(
    printed: str, expected: tuple[str, ...]
) -> None:
    assert complaints(printed.encode(), nonce="n") == expected


def test_a_flood_of_it_is_cut() -> None:
    flood = "".join(f"{'x' * 5000}{number}\n{number}\n" for number in range(500))
    shown = complaints(f"begin\tn\n{flood}".encode(), nonce="n")
    assert len(shown) == 11
    assert all(len(each) < 300 for each in shown)
