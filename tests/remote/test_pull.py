"""Artifacts that a host fetches itself, from a server that may lie: the sum decides."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fabnode.node.facts import Facts
from fabnode.node.plan import make_plan
from fabnode.node.resources import Binary, File, Image
from fabnode.remote.apply import apply
from fabnode.remote.apply_script import Pull
from fabnode.ssh.errors import ApplyError
from tests.artifacts import server as lies
from tests.artifacts.server import serving

from .test_apply import Node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fabnode.node.resources import Resource
    from fabnode.remote.apply import Applied
    from tests.artifacts.server import Lie, Server

CONTENT = b"#!/bin/sh\necho kubelet\n" * 20000
SHA256 = hashlib.sha256(CONTENT).hexdigest()

# Without the other tool in sight: what each of them does alone.
TOOLS = {
    "curl": pytest.param("curl", marks=pytest.mark.skipif(not shutil.which("curl"), reason="none")),
    "wget": pytest.param("wget", marks=pytest.mark.skipif(not shutil.which("wget"), reason="none")),
}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as it:
        it.files[f"/files/{SHA256}"] = CONTENT
        yield it


@pytest.fixture(params=TOOLS.values())
def tool(request: pytest.FixtureRequest) -> str:
    tool: str = request.param
    return tool


@pytest.fixture
def node(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node(tmp_path, ["dash"] if shutil.which("dash") else ["sh"])
    monkeypatch.setenv("IMAGES", str(tmp_path / "images"))
    (tmp_path / "images").write_text("docker.io/library/x:1\n")
    got = f"case $* in *help) ;; *import*) cat >{tmp_path}/got ;; *ls*) cat $IMAGES ;; esac"
    made.tools.add("ctr", got)
    made.tools.add("sleep", "exec /bin/sleep 0")
    if tool == "wget":  # `command -v curl` finds none
        only = tmp_path / "only"
        only.mkdir()
        for program in Path("/usr/bin").iterdir():
            if program.name != "curl":
                (only / program.name).symlink_to(program)
        monkeypatch.setenv("PATH", str(only))
    return made


def pull(node: Node, server: Server, *resources: Resource, url: str | None = None) -> Applied:
    plan = make_plan("n1", resources, Facts())
    where = Pull(url or f"{server.url}/files")
    return apply(node, plan, node.packer, node.events.append, pull=where)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def test_a_program_is_fetched_by_the_host(node: Node, server: Server, source: Path) -> None:
    where = Path(node.path("bin/kubelet"))
    done = pull(node, server, Binary(str(where), source, SHA256), File(node.path("f"), b"sent"))
    assert where.read_bytes() == CONTENT
    assert where.stat().st_mode & 0o777 == 0o755
    assert Path(node.path("f")).read_bytes() == b"sent"
    assert done.sent < len(CONTENT) / 2, "only scripts and files went over SSH"
    assert node.leftovers() == []


def test_an_image_archive_is_fetched_by_the_host(
    node: Node, server: Server, source: Path, tmp_path: Path
) -> None:
    pull(node, server, Image(("x:1",), source, SHA256))
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert (node.state / "images").read_text() == f"{SHA256} docker.io/library/x:1\n"
    assert node.leftovers() == []


@pytest.mark.parametrize("lie", [lies.busy, lies.hang_up, lies.cut])
def test_what_may_pass_is_tried_again(node: Node, server: Server, source: Path, lie: Lie) -> None:
    server.lies[f"/files/{SHA256}"] = [lie]
    pull(node, server, Binary(node.path("kubelet"), source, SHA256))
    assert Path(node.path("kubelet")).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("lie", "cause"),
    [
        (lies.other, f"its sha256 is .*, promised was {SHA256}"),
        (lies.missing, "404"),
        (lies.broken, "500"),
        (lies.cut, "."),
        (lies.hang_up, "."),
        (lies.endless, "its sha256 is|."),
    ],
)
def test_a_failure_names_url_and_cause_and_leaves_what_was_there(
    node: Node, server: Server, source: Path, tool: str, lie: Lie, cause: str
) -> None:
    if tool == "wget" and lie in (lies.missing, lies.broken, lies.cut, lies.hang_up):
        cause = "wget ends with "
    where = Path(node.path("kubelet"))
    where.write_text("older")
    server.lies[f"/files/{SHA256}"] = [lie] * 30
    with pytest.raises(ApplyError, match=f"{server.url}/files/{SHA256}: .*{cause}"):
        pull(node, server, Binary(str(where), source, SHA256))
    assert where.read_text() == "older"
    assert node.leftovers() == []


def test_nobody_listening_is_a_sentence(node: Node, server: Server, source: Path) -> None:
    with pytest.raises(ApplyError, match=f"http://127.0.0.1:9/x/{SHA256}: ."):
        pull(node, server, Binary(node.path("kubelet"), source, SHA256), url="http://127.0.0.1:9/x")
