"""
Measure upgrades beside deployments, on one lab each: `make bench-upgrade`.

Three nodes without pods to evict are joined, and upgraded from the minor before; then the plan of
an upgrade of a hundred nodes is made beside `inv plan` of the same. What counts are both ratios.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from lab import builds, versions
from lab.progress import Progress

from .labs import BenchLab, FailedError, lab, say_what_else_runs, wait_until_quiet

OLD = "1.36.3"
NODES, HOSTS, ROUNDS = 3, 100, 3
UPGRADE_TARGET, PLAN_TARGET = 1.5, 1.3


def main(rounds: int) -> None:
    """Measure and print."""
    say_what_else_runs()
    with lab("upgrade", NODES) as bench, tempfile.TemporaryDirectory() as binaries:
        older = _older(bench, Path(binaries))
        print(f"{NODES} nodes: joined at {versions.KUBERNETES}, upgraded from {OLD}")
        for number in range(1, rounds + 1):
            bench.fresh()
            joined = bench.measure(bench.fabnode("deploy-nodes"))
            bench.fresh()
            bench.measure(bench.fabnode("deploy-nodes", "--config", str(older)))
            upgraded = bench.measure(bench.fabnode("upgrade"))
            _say(number, "join", joined.seconds, "upgrade", upgraded.seconds, UPGRADE_TARGET)
    with lab("hundred", HOSTS) as bench:
        _register(bench)
        wait_until_quiet()
        print(f"{HOSTS} nodes, which run {OLD} as far as the API knows")
        for number in range(1, rounds + 1):
            plan = bench.measure(bench.fabnode("plan", "--json"))
            dry = bench.measure(bench.fabnode("upgrade", "--dry-run", "--json"))
            seen = json.loads(dry.output[dry.output.index("{") :])["nodes"]
            if faults := [node["error"] for node in seen if "error" in node]:
                raise FailedError(f"{len(faults)} nodes could not be planned: {faults[0]}")
            _say(number, "plan", plan.seconds, "upgrade --dry-run", dry.seconds, PLAN_TARGET)


def _say(number: int, one: str, seconds: float, other: str, others: float, target: float) -> None:
    ratio = others / seconds
    beyond = "" if ratio <= target else f"  (beyond the target of {target})"
    print(
        f"run {number}: {one} {seconds:.2f} s, {other} {others:.2f} s, ratio {ratio:.2f}{beyond}",
        flush=True,
    )


def _older(bench: BenchLab, folder: Path) -> Path:
    """Return the lab's configuration with the older release, its programs in this folder."""
    whole = yaml.safe_load((bench.folder / "cluster.yml").read_text())
    newer = Path(whole["artifacts"]["binaries"])
    old = builds.provide(versions.kubernetes_node(OLD), Progress())
    for path in (*newer.iterdir(), *old.iterdir()):
        (folder / path.name).unlink(missing_ok=True)
        (folder / path.name).symlink_to(path)
    whole["cluster"]["version"] = OLD
    whole["artifacts"]["binaries"] = str(folder)
    older = folder / "older.yml"
    older.write_text(yaml.safe_dump(whole, sort_keys=False))
    return older


def _register(bench: BenchLab) -> None:
    """Have a Node object for each host, as a kubelet of the older release reports itself."""
    for name, address in bench.hosts().items():
        _kubectl(bench, ["create", "-f", "-"], {"metadata": {"name": name}})
        status = {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {
                "kubeletVersion": f"v{OLD}",
                "containerRuntimeVersion": f"containerd://{versions.CONTAINERD}",
            },
        }
        patch = ["patch", "node", name, "--subresource=status", "--patch-file=/dev/stdin"]
        _kubectl(bench, patch, {"status": status})


def _kubectl(bench: BenchLab, words: list[str], body: dict[str, object]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "Node", **body})
    done = subprocess.run(
        bench.kubectl(*words), input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise FailedError(done.stderr)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
    except FailedError as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit("interrupted")
