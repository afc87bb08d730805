"""
What each group of `inv` tasks does: parse its own words, call, print, end with the right code.

The work is `pipeline`'s, `hardening`'s, `rotation`'s and the rooms'; only surfaces call these.
"""

from . import (
    accounts,
    audit,
    binaries,
    bundle,
    certs,
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
    "hosts",
    "inspection",
    "requests",
    "rotate_certs",
    "versions",
]
