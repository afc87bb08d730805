"""
Several apiservers in place of one: where nodes reach them, and what such a list may be.

Nodes talk to a balancer of their own on loopback, which no certificate of an apiserver names: they
verify the name that all have for pods' sake (kubernetes cmd/kubeadm `GetAPIServerAltNames`).
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, Tag, WithJsonSchema

from ..releases.matrix import matrix
from ..releases.version import Release
from ..util.loopback import BALANCER_ADDRESS, BALANCER_PORT
from ..util.problems import InvalidValueError
from .fields import ApiserverUrl
from .pydantic_errors import ALTERNATIVE
from .validators import is_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..util.problems import KeyPath

BALANCER = f"https://{BALANCER_ADDRESS}:{BALANCER_PORT}"
SERVER_NAME = "kubernetes.default.svc"

_BY_WHICH = "write the addresses by which nodes reach the apiservers"
_DEFAULT_PORT = 443
_MOST = 16  # a control plane has three or five


def endpoint(url: str) -> tuple[str, int]:
    """
    Return host and port of an apiserver's URL.

    An address of IPv6, which may be written in many ways, has one here (RFC 5952).

    :raises ValueError: it is no URL.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    return str(ip_address(host)) if is_address(host) else host, parts.port or _DEFAULT_PORT


def _single(urls: tuple[str, ...]) -> str | tuple[str, ...]:
    if len(urls) > _MOST:
        raise InvalidValueError(f"must be at most {_MOST} URLs", "name the apiservers alone")
    return urls[0] if len(urls) == 1 else urls


_ONE, _SEVERAL = f"{ALTERNATIVE}one", f"{ALTERNATIVE}several"


def _form(value: Any) -> str:
    return _SEVERAL if isinstance(value, list | tuple) else _ONE


Apiservers = Annotated[
    Annotated[ApiserverUrl, Tag(_ONE)]
    | Annotated[
        tuple[ApiserverUrl, ...], Field(min_length=1), AfterValidator(_single), Tag(_SEVERAL)
    ],
    Discriminator(_form),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": _MOST},
            ]
        }
    ),
]
"""One URL, or a list of them; a list of one is that one."""


def _unfit(url: str) -> str:
    """Return why no node gets to a URL's address; empty: one may, or it is a name."""
    host = endpoint(url)[0]
    if not is_address(host):
        return ""
    if ip_address(host).is_link_local:
        return "is a link-local address, which means nothing without an interface"
    if ip_address(host).is_unspecified or ip_address(host).is_multicast:
        return "is no address of one host among others"
    return ""


def violations(urls: Sequence[str], version: Release) -> list[tuple[KeyPath, str, str]]:
    """Return what is wrong with one or a list of several: path of the key, what, what to do."""
    key: KeyPath = ("cluster", "apiserver")
    found: list[tuple[KeyPath, str, str]] = []
    if len(urls) < 2:
        return [(key, f"{url} {why}", _BY_WHICH) for url in urls if (why := _unfit(url))]
    port = endpoint(urls[0])[1]
    seen: dict[tuple[str, int], int] = {}
    for index, url in enumerate(urls):
        path, (host, its) = (*key, index), endpoint(url)
        if (host, its) in seen:
            message = f"{url} is in the list already"
            found.append((path, message, "name each apiserver once"))
        elif its != port:
            message = f"{url} has port {its}, and {urls[0]} has {port}"
            found.append((path, message, "the apiservers of one cluster listen on one port"))
        if not is_address(host):
            message = f"{host} is no address"
            hint = (
                "in a list, write addresses: what nodes reach the API by must not wait for DNS;"
                " one URL alone may have a name"
            )
            found.append((path, message, hint))
        elif ip_address(host).is_loopback:
            found.append((path, f"{host} is each node itself", _BY_WHICH))
        elif why := _unfit(url):
            found.append((path, f"{host} {why}", _BY_WHICH))
        seen.setdefault((host, its), index)
    able = matrix().kubelet.server_names
    if version.minor not in able:
        message = f"several apiservers need Kubernetes 1.{able.since} or newer on nodes"
        hint = (
            f"kubelets of {version.series} can't be told by which name to verify an apiserver;"
            " name a load balancer's URL"
        )
        found.append((key, message, hint))
    return found
