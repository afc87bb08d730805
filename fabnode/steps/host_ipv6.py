"""Findings about a host's IPv6, where pods have it: the kernel's, routes, what forwarding ends."""

from __future__ import annotations

from collections.abc import Iterator

from ..cni.registry import network
from .finding import Finding
from .inputs import Inputs
from .kernel import numbers, sysctls

_VXLAN_KERNEL = (4, 19, 1)  # of VXLAN by IPv6: tigera/docs #515
_ALWAYS = 2  # of accept_ra


def findings(inputs: Inputs) -> Iterator[Finding]:
    """Yield what would keep a node from its pods' IPv6; nothing where these have IPv4 alone."""
    if 6 not in inputs.config.cluster.families or not inputs.facts.ipv6:
        return
    state = inputs.facts.ipv6
    if state == "absent":
        yield Finding(
            "error",
            "its kernel has no IPv6, which Services and pods have",
            "boot it without ipv6.disable=1, or give the cluster IPv4 alone",
        )
    elif state == "off":
        yield Finding(
            "error",
            "IPv6 is turned off there (net.ipv6.conf.all.disable_ipv6)",
            "set that to 0, now and in the file of /etc/sysctl.d that has it",
        )
    else:
        yield from _kernel(inputs)
        yield from _routes(inputs)


def _kernel(inputs: Inputs) -> Iterator[Finding]:
    wrapped = "vxlan" in network(inputs.config).kernel_modules
    if wrapped and () < numbers(inputs.facts.kernel) < _VXLAN_KERNEL:
        least = ".".join(map(str, _VXLAN_KERNEL))
        yield Finding(
            "warning",
            f"its kernel is {inputs.facts.kernel}, and VXLAN by IPv6 works since {least}",
            "install a newer kernel, unless its distribution has brought that back to this one",
        )


def _routes(inputs: Inputs) -> Iterator[Finding]:
    routes = inputs.facts.ipv6_defaults
    if not routes:
        yield Finding(
            "warning",
            "it has no default route by IPv6: its own programs reach no Service by it",
            "give it one, if only to a neighbour: the kernel looks for a route to a Service's"
            " address before kube-proxy's rules change that",
        )
    for route in routes:
        key = f"net.ipv6.conf.{route.interface.replace('.', '/')}.accept_ra"
        set_by_us = sysctls(inputs.config, inputs.node).get(key)
        if route.advertised and route.accept_ra != _ALWAYS and set_by_us != str(_ALWAYS):
            yield Finding(
                "error",
                f"its default route by {route.interface} comes from router advertisements, which"
                " its kernel takes no more once it forwards",
                f'set host: {{sysctls: {{{key}: "{_ALWAYS}"}}}} for it or its group',
            )
