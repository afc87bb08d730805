"""Sysctls that the kernel offers under two names."""

from collections.abc import Mapping
from types import MappingProxyType

ALIASES: Mapping[str, str] = MappingProxyType(
    {"net.ipv4.conf.all.forwarding": "net.ipv4.ip_forward"}
)
"""Other names of settings that fabnode sets: the kernel keeps one value for both."""
