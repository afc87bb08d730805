"""docs/coming-from-kubeasz-and-kubespray.md names keys, variables and commands that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from fabnode.config import explain
from fabnode.config.imports import k0sctl, kubeadm, kubeasz, kubespray
from fabnode.node import layout
from fabnode.tasks import ns

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/coming-from-kubeasz-and-kubespray.md").read_text()
EXAMPLE = (ROOT / "config/example.yml").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.partition("## Their settings and ours")[2]
    .partition("The pod network")[0]
    .split("\n")
    if line.startswith("| `")
]
SOURCES = {
    name: "".join(
        path.read_text()
        for path in (ROOT / "fabnode/config/imports").glob("*.py")
        if path.stem in {name, f"{name}_networks", "connection", "survey"}
    )
    for name in ("kubeasz", "kubespray", "k0sctl", "kubeadm")
}


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_table_has_rows_for_what_the_tables_take() -> None:
    text = "\n".join("|".join(row) for row in ROWS)
    for rules in (kubeasz.RULES, k0sctl.RULES, kubeadm.RULES):
        missing = {n for n in rules if n.rpartition(".")[2] not in text}
        assert missing <= {
            "CLUSTER_NAME",
            "CONTAINERD_ROOT_DIR",
            "SANDBOX_IMAGE",
            "metadata.name",
            "clusterName",
        }
    for name in ("kube_version", "kube_service_addresses", "kube_pods_subnet", "kubelet_max_pods"):
        assert name in text


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_rows_name_keys_of_ours_and_settings_that_are_read(row: list[str]) -> None:
    prefix = ""
    for key in quoted(row[0]):
        prefix = key.rpartition(".")[0] or prefix
        whole = key if "." in key or not prefix else f"{prefix}.{key}"
        explain.explain(whole.replace("[]", "[x]"), EXAMPLE)  # raises where there is none
    for tool, cell in zip(SOURCES, row[1:], strict=True):
        for setting in quoted(cell):
            for word in re.findall(r"[A-Za-z_]{4,}", setting):
                known = word in SOURCES[tool] or word in kubespray.RULES
                assert known, f"{tool}: {word}"


def test_paths_are_those_of_the_layout() -> None:
    for path in (layout.CA, layout.KUBELET_KUBECONFIG, layout.KUBELET_CONFIG):
        assert f"{path} |" in PAGE


def test_commands_are_tasks_with_these_options() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.split("\n") if "inv config" in line]
    assert len(lines) > 4
    for line in lines:
        words = shlex.split(line.partition("inv ")[2], comments=True)
        task = ns[words[0]]
        options = {f"--{name.replace('_', '-')}" for name in task.argspec(task.body).parameters}
        assert {word for word in words[1:] if word.startswith("--")} <= options, line
    for name in re.findall(r"`inv ([a-z.-]+)", PAGE):
        assert name in ns.task_names or name == "lab.up", name
