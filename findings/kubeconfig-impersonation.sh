#!/bin/sh
# A kubeconfig that impersonates (`as`, `as-groups`), as read by five Python clients of Kubernetes:
# kubernetes 37.0.2, kubernetes_asyncio 36.1.0, lightkube 1.0.1, pykube-ng 23.6.0, kr8s 0.20.15.
#
# One would guess: as kubectl and client-go do, each request carries `Impersonate-User`, or the file is
#   refused. An administrator who gives a program `as: viewer` means that it may do what a viewer may.
# What happens: all five read the token and leave the two fields out without a word. The program acts
#   with all rights of the administrator, and the audit log names him alone.
# Seen (headers of the first request of each):
#   all five   authorization: Bearer t0k, and no impersonate-…
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check kubernetes==37.0.2 \
    kubernetes_asyncio==36.1.0 lightkube==1.0.1 lightkube-models==1.37.0.8 pykube-ng==23.6.0 kr8s==0.20.15

unset http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY all_proxy ALL_PROXY
cd / && "$work/venv/bin/python" -W ignore - "$work" <<'END'
import asyncio
import contextlib
import http.server
import json
import sys
import threading
from pathlib import Path

import kr8s
import kubernetes
import kubernetes_asyncio
import lightkube
import pykube
from lightkube.resources.core_v1 import Namespace

folder = Path(sys.argv[1])
came = []


class Apiserver(http.server.BaseHTTPRequestHandler):
    """Answers anything with a list of nothing, and keeps what it was asked with."""

    def do_GET(self):
        came.append({name.lower(): value for name, value in self.headers.items()})
        body = json.dumps(
            {
                "kind": "NamespaceList",
                "apiVersion": "v1",
                "metadata": {},
                "items": [],
                "major": "1",
                "minor": "35",
                "gitVersion": "v1.35.0",
                "versions": ["v1"],
                "resources": [],
                "groups": [],
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Apiserver)
threading.Thread(target=server.serve_forever, daemon=True).start()


def official(path):
    settings = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(path, client_configuration=settings, persist_config=False)
    kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(settings)).list_namespace()


def official_asyncio(path):
    async def ask():
        settings = kubernetes_asyncio.client.Configuration()
        await kubernetes_asyncio.config.load_kube_config(path, client_configuration=settings)
        async with kubernetes_asyncio.client.ApiClient(settings) as client:
            await kubernetes_asyncio.client.CoreV1Api(client).list_namespace()

    asyncio.run(ask())


def of_lightkube(path):
    list(lightkube.Client(lightkube.KubeConfig.from_file(path)).list(Namespace))


def of_pykube(path):
    client = pykube.HTTPClient(pykube.KubeConfig.from_file(path))
    list(pykube.Namespace.objects(client))


def of_kr8s(path):
    list(kr8s.api(kubeconfig=path).get("namespaces"))


def kubeconfig(user):
    """Write a kubeconfig of the server above with this user; return its path."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "c", "cluster": {"server": "http://127.0.0.1:%d" % server.server_port}}
        ],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(document))
    return str(path)


path = kubeconfig({"token": "t0k", "as": "viewer", "as-groups": ["readers"]})
for ask in (official, official_asyncio, of_lightkube, of_pykube, of_kr8s):
    came.clear()
    with contextlib.suppress(Exception):  # what is listed does not matter
        ask(path)
    first = came[0]
    as_whom = [name for name in first if name.startswith("impersonate-")]
    print(f"{ask.__name__:18}", first["authorization"], as_whom)
    assert (first["authorization"], as_whom) == ("Bearer t0k", []), "it is otherwise now"
END
