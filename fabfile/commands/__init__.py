"""
What each group of `inv` tasks does: parse its own words, call, print, end with the right code.

The work is `pipeline`'s, `hardening`'s, `rotation`'s and the rooms'; only surfaces call these.
"""

from . import (
    audit,
    binaries,
    bundle,
    certs,
    deployer,
    hosts,
    inspection,
    requests,
    rotate_certs,
    versions,
)

__all__ = [
    "audit",
    "binaries",
    "bundle",
    "certs",
    "deployer",
    "hosts",
    "inspection",
    "requests",
    "rotate_certs",
    "versions",
]
