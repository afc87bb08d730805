"""Symptoms of a host: read from the program's output, and the program run on this machine."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.node.facts import Watchlist
from fabnode.node.symptoms import ProbeTargets
from fabnode.remote import probe as probe_module
from fabnode.remote import symptoms as symptoms_module
from fabnode.remote.limits import JOURNAL_LETTERS, JOURNAL_LINES, NAMES, MalformedError
from fabnode.remote.symptoms import probe_symptoms, script
from fabnode.remote.symptoms_output import parse
from fabnode.ssh.errors import HostMisbehavedError
from fabnode.ssh.exec import Result

from .local import SHELLS, Tools, give_away, only_root

if TYPE_CHECKING:
    from pathlib import Path

PLACE = ProbeTargets(
    services=("kubelet.service",),
    ports=(10250,),
    folders=("/etc", "/nowhere"),
    confs="/etc/cni/net.d",
    plugins="/opt/cni/bin",
    socket="/run/containerd/containerd.sock",
    client=("ctr", "version"),
)
SAID = """\
now\t1795953112.5
service\tkubelet.service\tResult=exit-code
service\tkubelet.service\tExecMainStatus=203
service\tkubelet.service\tProcess=S
journal\tkubelet.service\t1795953100.123456 n1 kubelet[99]: E1129 run.go] "it failed"
journal\tkubelet.service\t-- Boot 54c74cf9 --
journal\tkubelet.service\t1795953101.000001 n1 systemd[1]: kubelet.service: Main process exited
listens\t10250\tnc
conf\t10-calico.conflist
conf\t.kept
conf\t00-other.conf
plugin\tcalico
unwritable\t/etc
missing\t/nowhere
memory\t1024
tasks\t200\t32768
no_socket
runtime\thangs
resolves\tno
"""


def read(text: str, nonce: str = "ab") -> Any:
    return parse(f"{text}end\tab\n".encode(), nonce=nonce, place=PLACE)


def test_all_that_is_reported_is_read() -> None:
    found = read(SAID)
    unit = found.unit("kubelet.service")
    assert (unit.result, unit.status, unit.process) == ("exit-code", 203, "S")
    assert [line.text for line in unit.journal] == [
        'E1129 run.go] "it failed"',
        "kubelet.service: Main process exited",
    ]
    assert unit.journal[0].at == 1795953100.123456
    assert [(each.port, each.program) for each in found.listening] == [(10250, "nc")]
    assert found.confs == ("00-other.conf", "10-calico.conflist")
    assert found.plugins == {"calico"}
    assert (found.unwritable, found.missing) == (("/etc",), ("/nowhere",))
    assert (found.now, found.memory, found.tasks, found.most_tasks) == (
        1795953112.5,
        2**20,
        200,
        32768,
    )
    assert (found.socket, found.runtime, found.resolves) == (False, "hangs", False)


LINE = "journal\tkubelet.service\t1795953100.1 n1 kubelet[9]: x"


@pytest.mark.parametrize(
    "text",
    [
        "now\tnever\n",
        "now\t1e400\n",
        "service\tother.service\tResult=x\n",
        "service\tkubelet.service\tResult=\x1b[31m\n",
        "service\tkubelet.service\tResult=" + "x" * 41 + "\n",
        "service\tkubelet.service\tProcess=Z!\n",
        "service\tkubelet.service\tExecMainStatus=-1\n",
        "journal\tother.service\t1795953100.1 n1 kubelet[9]: x\n",
        f"{LINE}{'y' * JOURNAL_LETTERS}\n",
        f"{LINE}\n" * (JOURNAL_LINES + 1),
        "listens\t22\tsshd\n",
        "listens\t10250\t" + "x" * 300 + "\n",
        "listens\t10250\tnc\n" * 50,
        "conf\tx\n" * (NAMES + 1),
        "plugin\t" + "x" * 256 + "\n",
        "missing\t/home\n",
        "tasks\t200\n",
        "runtime\tsings\n",
        "resolves\tmaybe\n",
        "anything\telse\n",
    ],
)
def test_what_the_program_does_not_print_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        read(text)


@pytest.mark.parametrize("text", ["", SAID])
def test_an_answer_that_is_cut_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="cut off"):
        read(text, nonce="other")


def test_what_was_not_read_to_its_end_or_from_its_beginning_is_marked() -> None:
    found = read(f"{LINE}\ncut{LINE[len('journal') :]}\n" * 2).unit("kubelet.service")
    assert [line.cut for line in found.journal] == [False, True, False, True]
    assert not found.older
    assert read(f"older\tkubelet.service\n{LINE}\n").unit("kubelet.service").older


def test_a_host_steers_no_terminal() -> None:
    found = read(LINE + "\x1b[2J\u202e\n")
    assert found.unit("kubelet.service").journal[0].text.isprintable()


def run(shell: list[str], tools: Tools, tmp_path: Path) -> Any:
    """Return what the program finds with these tools of the kubelet's service."""
    place = replace(PLACE, folders=(), confs=str(tmp_path), plugins=str(tmp_path), client=())
    done = subprocess.run(
        [*shell, "-s"],
        input=script(place, "ab"),
        capture_output=True,
        check=True,
        env=tools.env,
        cwd=tmp_path,
    )
    return parse(done.stdout, nonce="ab", place=place).unit("kubelet.service")


@pytest.mark.parametrize("shell", SHELLS)
def test_flags_that_a_kubelet_lists_at_each_start_do_not_hide_what_it_ends_with(
    shell: list[str], tmp_path: Path
) -> None:
    head, klog = "1795953100.{:06} n1 kubelet[9]: ", "1129 10:00:00.000000    9 "
    flag = f'{head}I{klog}flags.go:64] FLAG: --{{}}="x"'
    lines = [head.format(1) + f'E{klog}run.go:72] "command failed" err="swap"']
    lines += [flag.format(number, f"flag-{number}") for number in range(2, 400)]
    lines.append(flag.format(400, "odd") + " =<")
    lines += [head.format(401) + "I" + klog + "server.go:1] FLAG: --of-another=1"]
    (tmp_path / "journal").write_text("\n".join(lines) + "\n")
    tools = Tools(tmp_path / "tools")
    tools.add("systemctl", "")
    tools.add("journalctl", f"cat {tmp_path / 'journal'}")
    found = run(shell, tools, tmp_path)
    assert [line.text.partition("] ")[2][:12] for line in found.journal] == [
        '"command fai',
        "FLAG: --odd=",
        "FLAG: --of-a",
    ]
    assert not found.older


HEAD = "{}.{:06} n1 kubelet[9]: "
KLOG = "1129 10:00:00.000000    9 "
SETTINGS = f'I{KLOG}server.go:500] "Effective KubeletConfiguration" config=<'
SWAPS = f'I{KLOG}swap_util.go:1] "Swap is on" /proc/swaps contents=<'
POD_OUTPUT = f'I{KLOG}prober.go:1] "Probe failed" output=<'


def of_journal(shell: list[str], tmp_path: Path, texts: list[tuple[int, str]]) -> Any:
    """Return what the program finds where the kubelet logged these texts at these seconds."""
    lines = [
        text if text.startswith("1795") else HEAD.format(1795953100 + second, number) + text
        for number, (second, text) in enumerate(texts)
    ]
    (tmp_path / "journal").write_text("\n".join(lines) + "\n")
    tools = Tools(tmp_path / "tools")
    tools.add("systemctl", "")
    tools.add("journalctl", f"cat {tmp_path / 'journal'}")
    return run(shell, tools, tmp_path)


STARTED = (0, "1795953100.000000 n1 systemd[1]: Started kubelet.service.")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_configuration_that_a_kubelet_logs_does_not_hide_what_it_ends_with(
    shell: list[str], tmp_path: Path
) -> None:
    start = [(0, SETTINGS), *[(0, f"\tkey{number}: 1") for number in range(400)], (0, " >")]
    start += [(0, SWAPS), (0, "\tFilename Type"), (0, " >")]
    ending = (0, f'E{KLOG}run.go:72] "command failed" err="swap"')
    found = of_journal(shell, tmp_path, [STARTED, *start, ending, STARTED, *start, ending])
    assert [line.text for line in found.journal] == ["Started kubelet.service.", ending[1]] * 2
    assert not found.older


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "before",
    [
        pytest.param([STARTED, (5, POD_OUTPUT)], id="in a text of a pod's"),
        pytest.param([STARTED, (5, POD_OUTPUT), (5, ">")], id="behind a pod's own end of it"),
        pytest.param([STARTED, (5, "x" * 49152)], id="behind a line that was split"),
        pytest.param([(5, "of a text that may have begun before")], id="at the beginning"),
    ],
)
def test_a_pod_hides_no_lines_behind_such_a_beginning(
    shell: list[str], before: list[tuple[int, str]], tmp_path: Path
) -> None:
    found = of_journal(shell, tmp_path, [*before, (5, SETTINGS), (9, "an error of the kubelet")])
    assert [line.text for line in found.journal][-2:] == [SETTINGS, "an error of the kubelet"]


@pytest.mark.parametrize("shell", SHELLS)
def test_of_a_long_journal_the_last_lines_are_sent(shell: list[str], tmp_path: Path) -> None:
    head = "1795953100.000000 n1 kubelet[9]: "
    lines = [f"{head}line {number}" for number in range(JOURNAL_LINES + 3)]
    (tmp_path / "journal").write_text("\n".join(lines) + "\n")
    tools = Tools(tmp_path / "tools")
    tools.add("systemctl", "")
    tools.add("journalctl", f"cat {tmp_path / 'journal'}")
    found = run(shell, tools, tmp_path)
    assert [found.journal[0].text, found.journal[-1].text] == [
        "line 3",
        f"line {JOURNAL_LINES + 2}",
    ]
    assert found.older


@pytest.mark.parametrize("shell", SHELLS)
def test_the_program_tells_of_this_machine(shell: list[str], tmp_path: Path) -> None:
    tools = Tools(tmp_path / "tools")
    status = f"Result=success\\nExecMainStatus=0\\nMainPID={os.getpid()}\\n"
    tools.add("systemctl", f'printf "{status}"')
    prefix = "1795953100.123456 n1 kubelet[9]: "
    long = f"{prefix}{'ä' * JOURNAL_LETTERS}"
    texts = [f"{prefix}one\ttwo", long, f"{long} =<", f"{prefix}{'x' * 60000}"]
    (tmp_path / "journal").write_text("\n".join(texts) + "\n")
    tools.add("journalctl", f"cat {tmp_path / 'journal'}")
    row = 'LISTEN 0 128 *:10250 *:* users:(("evil)\\tnc",pid=1,fd=3))'
    tools.add("ss", f"printf '{row}\\nLISTEN 0 1 *:22 *:*\\n'")
    tools.add("ctr", "sleep 20")
    tools.add("getent", "exit 2")
    confs = tmp_path / "net.d"
    confs.mkdir()
    (confs / "10-calico.conflist").touch()
    (confs / "00-$(touch pwned).conf").touch()
    place = ProbeTargets(
        services=("kubelet.service",),
        ports=(10250,),
        folders=(str(tmp_path), str(tmp_path / "gone")),
        confs=str(confs),
        plugins=str(tmp_path / "bin"),
        socket=str(tmp_path / "sock"),
        client=("ctr", "version"),
        asked_name="api.example",
    )
    done = subprocess.run(
        [*shell, "-s"],
        input=script(place, "ab"),
        capture_output=True,
        check=True,
        env=tools.env,
        cwd=tmp_path,
    )
    found = parse(done.stdout, nonce="ab", place=place)
    assert found.confs == ("00-$(touch pwned).conf", "10-calico.conflist")
    assert not (tmp_path / "pwned").exists()
    assert found.missing == (str(tmp_path / "gone"),)
    journal = found.unit("kubelet.service").journal
    assert journal[0].text == "one\ttwo"
    # A kubelet's own long line, such as its configuration, begins no text of others.
    assert [line.cut for line in journal] == [False, False, True, True]
    assert found.unit("kubelet.service").process in set("RSD")
    assert [each.port for each in found.listening] == [10250]
    assert (found.socket, found.runtime, found.resolves) == (False, "hangs", False)
    assert found.memory > 0


def test_facts_and_symptoms_come_in_one_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each program runs in a shell of its own: what one defines or ends is not the other's."""
    says = "printf 'clock\\t1.5\\nkernel\\t6.1\\nend\\t%s\\n' $mine; exit\n"
    monkeypatch.setattr(
        probe_module, "script", lambda _watch, nonce: f"mine={nonce}\n{says}".encode()
    )
    monkeypatch.setattr(
        symptoms_module, "script", lambda _place, nonce: f"printf 'end\\t{nonce}\\n' $mine".encode()
    )
    calls: list[bytes] = []

    class Here:
        name = "n1"

        def root(self, command: str, *, stdin: list[bytes], **_: object) -> Result:
            calls.extend(stdin)
            done = subprocess.run(["sh", "-c", command], input=b"".join(stdin), capture_output=True)
            return Result(done.returncode, done.stdout, done.stderr)

    host: Any = Here()
    facts, symptoms = probe_symptoms(host, Watchlist(), PLACE)
    assert len(calls) == 1
    assert facts.known
    assert symptoms.runtime == "unknown"


def test_a_second_half_that_is_missing_is_a_malformed_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts = object()
    monkeypatch.setattr(symptoms_module, "probe_and", lambda *_: (facts, b""))
    host: Any = type("Host", (), {"name": "n1"})()
    with pytest.raises(HostMisbehavedError, match="malformed"):
        probe_symptoms(host, Watchlist(), PLACE)


@only_root
@pytest.mark.parametrize(("way", "answer"), [("file", "unknown"), ("roots", "answers")])
def test_a_client_of_others_is_not_asked(tmp_path: Path, way: str, answer: str) -> None:
    tools = Tools(tmp_path / "tools")
    for name in ("systemctl", "journalctl", "ss", "ctr"):
        tools.add(name)
    give_away(tools.folder / "ctr", way)
    place = replace(PLACE, client=(str(tools.folder / "ctr"), "version"))
    done = tools.run(["sh", "-s"], script(place, "ab"))
    assert parse(done.stdout, nonce="ab", place=place).runtime == answer
    assert bool(tools.calls_of("ctr")) == (way == "roots")
