"""
Simulate hosts and their cluster: `python -m bench.simulated FOLDER HOSTS bare|nodes`.

Writes a configuration and all that it names to the folder, prints a line when all listen, and then
answers each line on standard input with what has been asked since the last one, as JSON. Ends with
its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import asyncssh

from fabnode.artifacts import store
from fabnode.config.loader import load

from . import cluster, hosts, node, recording, site


async def simulate(folder: Path, count: int, *, bare: bool, manifest: Path | None) -> None:
    """Answer until standard input ends."""
    user, key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    site.write_files(folder, manifest)
    site.write_keys(folder, user)
    (folder / "known_hosts").touch()
    config = load(site.write_cluster(folder, count, ssh_port=22, api_port=6443))
    api = cluster.api(config, () if bare else config.nodes)
    api_port = api.serve(folder / "serving.pem")
    # The hosts' port is known once they listen, and does not show in what a node has.
    config = load(site.write_cluster(folder, count, ssh_port=22, api_port=api_port))
    artifacts = store.load(config)
    made = node.bare if bare else node.deployed
    recorded = {
        each.address: recording.lines(made(config, each, artifacts)) for each in config.nodes
    }
    port, seen = await hosts.serve(recorded, key, user, api_port)
    site.write_known_hosts(folder, count, port, key)
    site.write_cluster(folder, count, ssh_port=port, api_port=api_port)
    print("listening", flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps({**seen.taken(), "calls": api.taken()}), flush=True)


if __name__ == "__main__":
    given = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    asyncio.run(
        simulate(Path(sys.argv[1]), int(sys.argv[2]), bare=sys.argv[3] == "bare", manifest=given)
    )
