#!/bin/sh
# A kubeconfig with `tokenFile`, as read by five Python clients of Kubernetes:
# kubernetes 37.0.2, kubernetes_asyncio 36.1.0, lightkube 1.0.1, pykube-ng 23.6.0, kr8s 0.20.15.
#
# One would guess: all do as client-go, whose API documents the field: the file's text without blanks
#   around it is the token, a relative path starts at the kubeconfig's folder, and where `token` is
#   there as well, the file counts, for it is the one that gets renewed.
# What happens, with a file that ends in a newline as editors and `kubectl create token >FILE` make it:
#   kubernetes, kubernetes_asyncio  ValueError from the HTTP library: the newline goes into the header;
#                                   with `token` beside it the file is not read, so no renewal counts
#   lightkube                       as client-go, but a relative path starts at the working directory
#   pykube-ng, kr8s                 the field is not known: the request goes out without credentials
# Seen (header Authorization; "-": none):
#                       file alone    relative path   token beside it
#   kubernetes          ValueError    ValueError      Bearer inline
#   kubernetes_asyncio  ValueError    ValueError      Bearer inline
#   lightkube           Bearer file   ConfigError     Bearer file
#   pykube-ng           -             -               Bearer inline
#   kr8s                -             -               Bearer inline
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check kubernetes==37.0.2 \
    kubernetes_asyncio==36.1.0 lightkube==1.0.1 lightkube-models==1.37.0.8 pykube-ng==23.6.0 kr8s==0.20.15
mkdir "$work/config"
printf 'file\n' >"$work/config/token"

cd / && "$work/venv/bin/python" - "$work/config" <<'END'
import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import kr8s
import kubernetes
import kubernetes_asyncio
import lightkube
import pykube
from lightkube.resources.core_v1 import Namespace

folder = Path(sys.argv[1])
sent = []
VERSION = dict.fromkeys(
    "gitVersion gitCommit gitTreeState buildDate goVersion compiler platform".split(), "v1.37.2"
)
ANSWER = {"kind": "NamespaceList", "apiVersion": "v1", "metadata": {}, "items": []}


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        sent.append(self.headers.get("Authorization", "-"))
        body = json.dumps({**ANSWER, **VERSION, "major": "1", "minor": "37", "versions": ["v1"]})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
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


def outcome(ask, user, name):
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        ],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(document))
    sent.clear()
    try:
        ask(str(path))
    except Exception as error:
        if not sent:
            return type(error).__name__
    return sent[0]


USERS = {
    "file": {"tokenFile": str(folder / "token")},
    "relative": {"tokenFile": "token"},
    "beside": {"tokenFile": str(folder / "token"), "token": "inline"},
}
EXPECTED = {
    official: ["ValueError", "ValueError", "Bearer inline"],
    official_asyncio: ["ValueError", "ValueError", "Bearer inline"],
    of_lightkube: ["Bearer file", "ConfigError", "Bearer file"],
    of_pykube: ["-", "-", "Bearer inline"],
    of_kr8s: ["-", "-", "Bearer inline"],
}
for ask, expected in EXPECTED.items():
    seen = [outcome(ask, user, name) for name, user in USERS.items()]
    print(f"{ask.__name__:18}", seen)
    assert seen == expected, "it is otherwise now"
END
