"""
Bodies of the tasks, a module per group: check options, call, print, set the exit code.

The work itself is in `deploy/` and the rooms below it; only surfaces call these.
"""

from . import (
    accounts,
    audit,
    binaries,
    bundle,
    certs,
    configuration,
    deployment,
    hosts,
    inspection,
    requests,
    rotate_certs,
    versions,
)

__all__ = [
    "accounts",
    "audit",
    "binaries",
    "bundle",
    "certs",
    "configuration",
    "deployment",
    "hosts",
    "inspection",
    "requests",
    "rotate_certs",
    "versions",
]
