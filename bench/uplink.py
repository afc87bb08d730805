"""
Measure the relay behind a slow uplink: `make bench-uplink`, or `python -m bench.uplink [ROUNDS]`.

With a second word the uplink has another rate, as tc writes it; `none`: it is not shaped. Six
bare hosts become nodes by `artifacts.distribution: push` and by `relay`, in turn. What this machine
sends to them is shaped to 100 Mbit/s with tc on the lab's bridge; hosts reach each other over the
bridge's ports, unshaped. The bytes are those that the bridge counted.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from .compare import Times, Watch
from .labs import BenchLab, FailedError, lab, say_what_else_runs

NODES = 6
UPLINK = "100mbit"
DEADLINE = 400  # seconds
WAYS = ("push", "relay")
BRIDGE = "fab-uplink"


@dataclass(frozen=True, slots=True)
class Carried:
    """Times of a deployment, and the bytes that left this machine for the hosts meanwhile."""

    times: Times
    sent: int


@contextmanager
def shaped(bridge: str, rate: str) -> Iterator[None]:
    """
    Let no more than this leave the machine by a bridge; what hosts send each other stays as it is.

    A bridge's own queue holds what the machine itself sends: frames from port to port pass it by.
    """
    tc = ["tc", "qdisc"]
    shape = ["tbf", "rate", rate, "burst", "256kb", "latency", "100ms"]
    subprocess.run([*tc, "replace", "dev", bridge, "root", *shape], check=True)
    try:
        yield
    finally:
        subprocess.run([*tc, "del", "dev", bridge, "root"], check=False)


def sent_by(bridge: str) -> int:
    """Return the bytes that this machine has sent by a bridge so far."""
    words = ["ip", "-json", "-statistics", "link", "show", "dev", bridge]
    done = subprocess.run(words, capture_output=True, check=True)
    return int(json.loads(done.stdout)[0]["stats64"]["tx"]["bytes"])


def configured(bench: BenchLab, way: str) -> Path:
    """Return the lab's configuration with this way of distribution."""
    whole = yaml.safe_load((bench.folder / "cluster.yml").read_text())
    whole["artifacts"]["distribution"] = way
    path = bench.folder / f"{way}.yml"
    path.write_text(yaml.safe_dump(whole, sort_keys=False))
    return path


def deployed(bench: BenchLab, way: str) -> Carried:
    """Deploy to bare hosts this way."""
    before = sent_by(BRIDGE)
    watch = Watch(bench)
    command = bench.fabnode("deploy-nodes", "--config", str(configured(bench, way)))
    run = bench.measure(command, timeout=DEADLINE)
    return Carried(watch.times(run.seconds), sent_by(BRIDGE) - before)


def main(rounds: int, rate: str = UPLINK) -> None:
    """Let both ways take turns; print each time, and at the end the ratios."""
    say_what_else_runs()
    with lab("uplink", NODES) as bench:
        print("round  way     Ready    Calico   ended    sent (seconds; MB)")
        taken: dict[str, list[Carried]] = {way: [] for way in WAYS}
        for number in range(1, rounds + 1):
            for way in WAYS if number % 2 else reversed(WAYS):
                bench.fresh()
                if rate == "none":
                    found = deployed(bench, way)
                else:
                    with shaped(BRIDGE, rate):
                        found = deployed(bench, way)
                taken[way].append(found)
                times = found.times
                print(
                    f"{number:<6} {way:7} {times.ready:<8.1f} {times.calico:<8.1f}"
                    f" {times.end:<8.1f} {found.sent / 1e6:.0f}",
                    flush=True,
                )
    _sum_up(taken, rate)


def _sum_up(taken: dict[str, list[Carried]], rate: str) -> None:
    ready = {way: statistics.median(c.times.ready for c in taken[way]) for way in WAYS}
    sent = {way: statistics.median(c.sent for c in taken[way]) for way in WAYS}
    print(f"\nuplink {rate}, {NODES} hosts, medians:")
    print(f"all Ready: relay {ready['relay']:.1f} s, push {ready['push']:.1f} s:", end=" ")
    print(f"ratio {ready['relay'] / ready['push']:.2f} (target 0.35)")
    whole = sent["relay"] / (sent["push"] / NODES)
    print(f"sent from here by relay: {whole:.2f} times a sixth of what push sends (target 1.25)")


if __name__ == "__main__":
    try:
        words = sys.argv[1:]
        main(int(words[0]) if words else 1, words[1] if len(words) > 1 else UPLINK)
    except FailedError as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit("interrupted")
