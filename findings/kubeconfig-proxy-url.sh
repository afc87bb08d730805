#!/bin/sh
# A kubeconfig with `proxy-url`, as read by five Python clients of Kubernetes:
# kubernetes 37.0.2, kubernetes_asyncio 36.1.0, lightkube 1.0.1, pykube-ng 23.6.0, kr8s 0.20.15.
#
# One would guess: whoever reads a kubeconfig connects as it says, or refuses what it does not know.
#   A cluster behind a bastion has `proxy-url` because its apiserver can't be reached otherwise.
# What happens: three go to the proxy, two to the server itself, without a word: behind a bastion that
#   is a time-out which names an address that nobody was to connect to, and where the direct way is open,
#   too, the calls are just not in the proxy's log.
# Seen (where the first connection goes):
#   kubernetes, kubernetes_asyncio, kr8s   proxy
#   lightkube, pykube-ng                   server
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check kubernetes==37.0.2 \
    kubernetes_asyncio==36.1.0 lightkube==1.0.1 lightkube-models==1.37.0.8 pykube-ng==23.6.0 kr8s==0.20.15

unset http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY all_proxy ALL_PROXY
cd / && "$work/venv/bin/python" - "$work" <<'END'
import asyncio
import contextlib
import json
import os
import queue
import socket
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


def first_connection(ask):
    """Return where a client connects to first; it is not waited for, as some try again for minutes."""
    came = queue.Queue()

    def listen(name):
        server = socket.create_server(("127.0.0.1", 0))

        def accept():
            while True:
                connection, _ = server.accept()
                came.put(name)
                connection.close()

        threading.Thread(target=accept, daemon=True).start()
        return "127.0.0.1:%d" % server.getsockname()[1]

    cluster = {"server": f"https://{listen('server')}", "proxy-url": f"http://{listen('proxy')}"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / ask.__name__
    path.write_text(json.dumps(document))

    def run():
        with contextlib.suppress(Exception):  # nobody answers
            ask(str(path))

    threading.Thread(target=run, daemon=True).start()
    return came.get(timeout=120)


EXPECTED = {
    official: "proxy",
    official_asyncio: "proxy",
    of_lightkube: "server",
    of_pykube: "server",
    of_kr8s: "proxy",
}
for ask, expected in EXPECTED.items():
    seen = first_connection(ask)
    print(f"{ask.__name__:18}", seen)
    assert seen == expected, "it is otherwise now"
sys.stdout.flush()
os._exit(0)  # clients that still try
END
