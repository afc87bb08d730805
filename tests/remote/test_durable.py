"""What a run says is done is on the disk: a power cut a moment later takes nothing back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fabnode.node import layout
from fabnode.node.facts import Facts, PathFact
from fabnode.node.plan import Change, Plan, make_plan
from fabnode.node.resources import Absent, File, Trace, Unit
from fabnode.remote.apply import apply
from fabnode.remote.survey import Observed
from fabnode.ssh.errors import ApplyError

from .local import SHELLS
from .test_apply import KUBELET, RUNNING, Node, join

if TYPE_CHECKING:
    from collections.abc import Iterable


@pytest.fixture(params=SHELLS)
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Node:
    made = Node(tmp_path, request.param)
    made.tools.add("sync")
    return made


def synced(calls: Iterable[str]) -> set[str]:
    return {path for call in calls if call.startswith("sync -- ") for path in call.split()[2:]}


def test_files_and_the_folders_that_name_them_are_written_to_the_disk(node: Node) -> None:
    gone = Path(node.path("old/gone"))
    gone.parent.mkdir()
    gone.touch()
    files = (File(node.path("etc/a"), b"1"), File(node.path("b"), b"2"), Absent(str(gone)))
    facts = Facts(known=True, paths={str(gone): PathFact("file", 0o644)})
    node.apply(*files, facts=facts)
    assert not gone.exists()
    wanted = {node.path(name) for name in ("etc/a", "etc", "b", "old")} | {str(node.root_dir)}
    assert wanted <= synced(node.tools.calls)
    assert str(node.state / "written") in synced(node.tools.calls), "what a reset may take away"


def test_a_blank_in_a_path_separates_nothing(node: Node) -> None:
    node.tools.add("sync", f'for each; do echo "$each" >>{node.tools.folder}/paths; done')
    node.apply(File(node.path("a b'c"), b"1"))
    assert node.path("a b'c") in (node.tools.folder / "paths").read_text().splitlines()


def test_a_start_is_recorded_once_what_it_read_is_on_the_disk_and_then_the_record(
    node: Node,
) -> None:
    stamp, config = node.state / "stamps" / KUBELET, File(node.path("config"), b"1")
    node.tools.add("sync", f'[ ! -e {stamp} ] || echo "stamped" >>{node.tools.folder}/calls.log')
    node.apply(config, Unit(KUBELET, (config.path,)))
    calls = [call for call in node.tools.calls if call.startswith(("sync", "stamped"))]
    before, after = calls[: calls.index("stamped") - 1], calls[calls.index("stamped") - 1 :]
    assert config.path in synced(before)
    assert str(stamp) in synced(after)


def test_a_disk_that_does_not_take_it_is_no_success(node: Node) -> None:
    error = "sync: error syncing '/x': Input/output error"
    node.tools.add("sync", f'echo "{error}" >&2; exit 1')
    with pytest.raises(ApplyError) as caught:
        node.apply(File(node.path("a"), b"1"))
    assert error in str(caught.value)
    config = File(node.path("config"), b"1")
    with pytest.raises(ApplyError) as caught:
        node.apply(config, Unit(KUBELET, (config.path,)))
    assert error in str(caught.value)
    assert not (node.state / "stamps" / KUBELET).exists()
    assert node.leftovers() == []


def test_a_folder_that_can_not_be_written_by_itself_is_no_failure(node: Node) -> None:
    """As on file systems of other machines: what is in it was written."""
    node.tools.add("sync", 'for each; do [ ! -d "$each" ] || exit 1; done')
    node.apply(File(node.path("a"), b"1"))
    assert Path(node.path("a")).read_bytes() == b"1"


def test_a_token_goes_once_what_the_kubelet_got_by_it_is_on_the_disk(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(node.path("kubelet.kubeconfig"))
    monkeypatch.setattr(layout, "KUBELET_KUBECONFIG", str(own))
    made = f"echo x >{own}; echo x >{node.path('pem')}"
    node.tools.add("systemctl", f"case $1 in show) {RUNNING} ;; restart) {made} ;; esac")
    log = node.tools.folder / "calls.log"
    node.tools.add("sync", f"[ ! -e {node.path('bootstrap')} ] || echo 'token there' >>{log}")
    node.apply(*join(node))
    calls = node.tools.calls
    (first,) = [at for at, call in enumerate(calls) if str(own) in call.split()]
    assert calls[first + 1] == "token there"
    assert {str(own), node.path("pem")} <= synced([calls[first]])
    assert not Path(node.path("bootstrap")).exists()


def test_the_record_of_a_host_is_on_the_disk_before_its_first_change(node: Node) -> None:
    file = File(node.path("a"), b"new")
    log = node.tools.folder / "calls.log"
    node.tools.add("sync", f"[ -e {file.path} ] || echo 'nothing changed' >>{log}")
    record = Observed((), (), (file.path,))
    apply(node, make_plan("n1", (file,), Facts()), node.packer, record=record)
    at = node.tools.calls.index("sync -- baseline")
    assert node.tools.calls[at + 1] == "nothing changed"
    assert (node.state / "baseline").stat().st_size


def test_a_kept_set_is_on_the_disk_whole(node: Node) -> None:
    config, state = Path(node.path("config")), Path(node.path("state"))
    for path in (config, state):
        path.write_text("old")
    kept = Change(Trace("kept", "kept", ("tag", str(config), f"={state}")), "keep", "")
    apply(node, Plan("n1", (kept,)), node.packer)
    names = {Path(path).name for path in synced(node.tools.calls) if "/kept.new/" in path}
    assert {"1", "2", "list.new", "tag.new"} <= names, "and named so once they are"
    assert (node.state / "kept/tag").read_text() == "tag\n"
