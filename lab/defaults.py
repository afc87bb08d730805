"""What a lab is by default. A module of its own: each `inv` lists the tasks, which show it."""

from __future__ import annotations

DEFAULT_NAME = "lab"
KUBERNETES = "1.37.2"
DOCKER = "docker"  # brought along by the hosts: Debian's docker.io
RUNTIMES = ("containerd", DOCKER)
DEBIAN = "bookworm"  # of the hosts, whatever the machine itself runs
SUITES = (DEBIAN, "trixie")
FAMILIES = ("ipv4", "ipv6", "dual")  # of hosts, pods and Services
