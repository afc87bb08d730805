"""Programs that hosts run, as they are sent: complete, clean for shellcheck, read by each shell."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fabnode.node.facts import Watchlist
from fabnode.node.symptoms import ProbeTargets
from fabnode.remote import examine, probe, relay_server, survey, symptoms
from fabnode.remote.apply import start
from fabnode.remote.limits import EXAMINE_LIMITS
from fabnode.remote.script_assembly import PROGRAMS, assemble
from fabnode.remote.survey import Observed

from .local import BUSYBOX, SHELLS

if TYPE_CHECKING:
    from collections.abc import Iterable

SCRIPTS = Path(probe.__file__).parent / "scripts"
COMMANDS = "/usr/sbin:/usr/bin:/sbin:/bin"
FUNCTION = re.compile(r"^([a-z_]+)\(\)", re.MULTILINE)
# Set by the command that unpacks the program.
UNPACKED = "state= work= tar=\n"
OBSERVED = Observed((), (), ())
PLACE = ProbeTargets((), (), (), confs="", plugins="", socket="", client=())
OFFER = relay_server.Offer("x", "token", "10.0.0.1", 10280, ("10.0.0.2",), "/var/lib/fabnode")
# Set by the actions.
RECORDED = f"{OBSERVED.assignments()}most_bytes=\n"
# Some limits are the parsers' alone.
USED_ELSEWHERE = "".join(f': "${{most_{name}-}}"\n' for name in asdict(EXAMINE_LIMITS))

SENT = {
    "journal": assemble("journal"),
    "boot": assemble("boot"),
    "machine": assemble("machine"),
    "identity": assemble("identity"),
    "apply": f"{UNPACKED}{RECORDED}".encode() + assemble("apply"),
    "probe": probe.script(Watchlist(), "nonce"),
    "doctor": symptoms.script(PLACE, "nonce"),
    "survey": survey.script(OBSERVED, "nonce", state="/var/lib/fabnode", programs="/usr/bin"),
    "examine": examine.script("nonce"),
    "serve": relay_server.program(OFFER),
    "answer": assemble("answer"),
}


def whole(parts: Iterable[str]) -> bytes:
    """Return parts as they are written: shellcheck is told by comments what is meant."""
    return b"".join(SCRIPTS.joinpath(f"{part}.sh").read_bytes() for part in parts)


def program(name: str) -> str:
    """Return a tool of the environment that runs the tests."""
    return str(Path(sys.executable).with_name(name))


def test_each_part_is_in_a_program() -> None:
    files = [path for path in SCRIPTS.rglob("*") if path.is_file()]
    names = {f"{part}.sh" for parts in PROGRAMS.values() for part in parts}
    assert {str(path.relative_to(SCRIPTS)) for path in files} == names
    assert SENT.keys() == PROGRAMS.keys()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_defines_no_function_twice(name: str) -> None:
    assert len(set(PROGRAMS[name])) == len(PROGRAMS[name])
    counts = Counter(FUNCTION.findall(SENT[name].decode()))
    assert counts
    assert [function for function, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_function_hides_a_command(name: str) -> None:
    functions = FUNCTION.findall(SENT[name].decode())
    assert [function for function in functions if shutil.which(function, path=COMMANDS)] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_only_comments_are_left_out(name: str) -> None:
    """Without comments, which shfmt drops as well, parts and program are the same."""

    def minified(text: bytes) -> str:
        command = [program("shfmt"), "-ln", "posix", "-mn"]
        done = subprocess.run(command, input=text, capture_output=True, check=True)
        return done.stdout.decode()

    assert minified(assemble(name)) == minified(whole(PROGRAMS[name]))
    assert not re.search(rb"^\s*#", assemble(name), re.MULTILINE)


@pytest.mark.parametrize("name", PROGRAMS)
def test_shellcheck_finds_nothing_in_a_program(name: str) -> None:
    """
    Here with all that a part alone does not show, such as variables that nobody sets.

    Left out are SC2086, for lists are split at line ends on purpose, and SC2016: dollars in single
    quotes are awk's, also where `env` starts it.
    """
    text = SENT[name].replace(assemble(name), whole(PROGRAMS[name])) + USED_ELSEWHERE.encode()
    shellcheck = [program("shellcheck"), "-s", "sh", "-e", "SC2016,SC2086", "-"]
    done = subprocess.run(shellcheck, input=text, capture_output=True, check=False)
    assert done.stdout.decode() == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("shell", [*SHELLS, BUSYBOX])
def test_shells_parse_a_program(name: str, shell: list[str]) -> None:
    done = subprocess.run([*shell, "-n"], input=SENT[name], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_unpacks_apply_sets_what_it_expects() -> None:
    for variable in re.findall(r"\w+(?==)", UNPACKED):
        assert re.search(rf"\b{variable}=", start())
