"""
Registry configuration of the runtime: mirrors, CAs, credentials.

containerd reads `certs.d/NAME/hosts.toml` at every pull. Credentials stand there as a header for
the one server they belong to: what a kubelet passes along goes to whatever server is asked, a
mirror too. Docker's mirrors stand in its daemon.json, and credentials in the kubelet's own
`config.json`, since dockershim has no other way.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from ..config.registry_servers import has_password, server
from ..node import layout
from ..node.resources import Absent, File, Resource
from .render import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .inputs import Inputs

_HUB = "docker.io"
_HUB_AUTH = "https://index.docker.io/v1/"  # what Docker calls it in config.json


def containerd(inputs: Inputs) -> tuple[Resource, ...]:
    """Return a hosts.toml and maybe a CA for each registry; an empty entry: neither."""
    return tuple(_containerd(inputs))


def docker(inputs: Inputs) -> tuple[Resource, ...]:
    """Return the files that Docker and the kubelet read at every pull."""
    return tuple(_docker(inputs))


def docker_mirrors(inputs: Inputs) -> list[str]:
    """Return what Docker asks in Docker Hub's stead, the only registry it has mirrors of."""
    hub = inputs.config.images.registries.get(_HUB)
    return list(hub.mirrors) if hub else []


def _containerd(inputs: Inputs) -> Iterator[Resource]:
    registries = inputs.config.images.registries
    for name, settings in registries.items():
        folder = f"{layout.CONTAINERD_CERTS}/{name}"
        pem = inputs.config.registry_cas.get(name)
        yield File(f"{folder}/ca.pem", pem) if pem else Absent(f"{folder}/ca.pem")
        urls = [*settings.mirrors, f"https://{name}"]
        if not settings.ca and not settings.password:
            urls.pop()  # it needs no settings: it is asked last anyhow
        if not urls:
            yield Absent(f"{folder}/hosts.toml")
            continue
        secret = any(has_password(registries, server(url)) for url in urls)
        text = render("runtime/hosts.toml", servers=[_server(inputs, url) for url in urls])
        yield File(f"{folder}/hosts.toml", text, 0o600 if secret else 0o644, secret=secret)


def _server(inputs: Inputs, url: str) -> dict[str, Any]:
    name = server(url)
    held = inputs.config.registry_cas
    return {
        "url": url,
        "override_path": url.count("/") > len(("https:", "")),
        "ca": f"{layout.CONTAINERD_CERTS}/{name}/ca.pem" if name in held else None,
        "authorization": f"Basic {auth}" if (auth := _auth(inputs, name)) else None,
    }


def _auth(inputs: Inputs, name: str) -> str | None:
    """Return user and password as HTTP's basic authentication has them."""
    settings = inputs.config.images.registries.get(name)
    password = inputs.config.registry_passwords.get(name)
    if settings is None or password is None:
        return None
    return base64.b64encode(f"{settings.username}:{password}".encode()).decode()


def _docker(inputs: Inputs) -> Iterator[Resource]:
    registries = inputs.config.images.registries
    for name, pem in inputs.config.registry_cas.items():
        yield File(f"{layout.DOCKER_CERTS}/{name}/ca.crt", pem)
    auths = {
        _HUB_AUTH if name == _HUB else name: {"auth": auth}
        for name in registries
        if (auth := _auth(inputs, name))
    }
    if auths:
        path = f"{inputs.node.kubelet.root}/config.json"
        yield File(path, _json({"auths": auths}), 0o600, secret=True)


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
