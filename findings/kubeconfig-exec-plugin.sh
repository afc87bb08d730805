#!/bin/sh
# A kubeconfig whose credentials come from a program beside it (`exec`, `command: helpers/login`), as read by
# five Python clients: kubernetes 37.0.2, kubernetes_asyncio 36.1.0, lightkube 1.0.1, pykube-ng 23.6.0, kr8s 0.20.15.
#
# One would guess: what kubectl logs in with, they do, since the protocol's version
#   client.authentication.k8s.io/v1 is that of Kubernetes 1.22 (2021) and the only one without "beta". A
#   relative command with a slash is found from the folder of the kubeconfig (client-go's rule).
# What happens: two don't know v1, two look for the command in the folder in which the program was
#   started, and one does as kubectl does.
# Seen:
#   kubernetes                   the token of the program
#   kubernetes_asyncio, kr8s     FileNotFoundError: 'helpers/login'; with an absolute path the token
#   lightkube                    ConfigError: … v1 not implemented
#   pykube-ng                    NotImplementedError: … v1 not implemented
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


login = folder / "helpers/login"
login.parent.mkdir()
credential = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "kind": "ExecCredential",
    "status": {"token": "of-the-program"},
}
login.write_text(f"#!/bin/sh\necho '{json.dumps(credential)}'\n")
login.chmod(0o755)


def outcome(ask, command):
    """Return the token that a client shows, or the name of its error."""
    came.clear()
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": command,
        "interactiveMode": "Never",
    }
    try:
        ask(kubeconfig({"exec": plugin}))
    except Exception as error:  # whichever each raises is what is asked
        if not came:
            return type(error).__name__
    return came[0].get("authorization", "no credentials")


TOKEN = "Bearer of-the-program"
EXPECTED = {
    official: (TOKEN, TOKEN),
    official_asyncio: ("FileNotFoundError", TOKEN),
    of_lightkube: ("ConfigError", "ConfigError"),
    of_pykube: ("NotImplementedError", "NotImplementedError"),
    of_kr8s: ("FileNotFoundError", TOKEN),
}
for ask, expected in EXPECTED.items():
    seen = (outcome(ask, "helpers/login"), outcome(ask, str(login)))
    print(f"{ask.__name__:18}", *seen)
    assert seen == expected, "it is otherwise now"
END
