#!/bin/sh
# KUBECONFIG with two files, each as a cluster's administrator gets it, in five Python clients of Kubernetes:
# kubernetes 37.0.2, kubernetes_asyncio 36.1.0, lightkube 1.0.1, pykube-ng 23.6.0, kr8s 0.20.15.
#
# One would guess: what kubectl does, and its documentation says: the files are merged, and of what several
#   set, such as current-context, the first one counts. So where kubectl goes, a program beside it goes.
# What happens: the official client and its asyncio twin merge, and take the *last* file's
#   current-context: a script works on another cluster than kubectl does in the same shell. lightkube and
#   pykube-ng take the list for the name of one file. kr8s goes with kubectl, except that it ends
#   with a KeyError where the first file has no current-context.
# Seen (which cluster is asked):      both have one    only the second has
#   kubectl 1.32.4                    first            second
#   kubernetes, kubernetes_asyncio    second           second
#   kr8s                              first            KeyError
#   lightkube                         ConfigError      ConfigError
#   pykube-ng                         PyKubeError      PyKubeError
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check kubernetes==37.0.2 \
    kubernetes_asyncio==36.1.0 lightkube==1.0.1 lightkube-models==1.37.0.8 pykube-ng==23.6.0 kr8s==0.20.15

cat >"$work/ask.py" <<'END'
import asyncio
import json
import os
import queue
import socket
import sys
import threading
from pathlib import Path

seen = queue.Queue()


def listen(name):
    server = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            connection, _ = server.accept()
            seen.put(name)
            connection.close()

    threading.Thread(target=accept, daemon=True).start()
    return "https://127.0.0.1:%d" % server.getsockname()[1]


def kubeconfig(name, chosen):
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": listen(name)}}],
        "users": [{"name": name, "user": {"token": "t"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    if chosen:
        document["current-context"] = name
    Path(name).write_text(json.dumps(document))
    return str(Path(name).resolve())


client, chosen = sys.argv[1:]
files = [kubeconfig("first", chosen == "both"), kubeconfig("second", True)]
os.environ["KUBECONFIG"] = ":".join(files)  # the clients look at it as they are imported


def official():
    import kubernetes

    settings = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(client_configuration=settings, persist_config=False)
    kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(settings)).list_namespace()


def official_asyncio():
    import kubernetes_asyncio

    async def ask():
        settings = kubernetes_asyncio.client.Configuration()
        await kubernetes_asyncio.config.load_kube_config(client_configuration=settings)
        async with kubernetes_asyncio.client.ApiClient(settings) as api:
            await kubernetes_asyncio.client.CoreV1Api(api).list_namespace()

    asyncio.run(ask())


def of_lightkube():
    import lightkube
    from lightkube.resources.core_v1 import Namespace

    list(lightkube.Client().list(Namespace))


def of_pykube():
    import pykube

    list(pykube.Namespace.objects(pykube.HTTPClient(pykube.KubeConfig.from_env())))


def of_kr8s():
    import kr8s

    list(kr8s.api().get("namespaces"))


def run():
    try:
        globals()[client]()
    except Exception as error:  # nobody answers: what was asked before that counts
        seen.put(type(error).__name__)


threading.Thread(target=run, daemon=True).start()
print(client, seen.get(timeout=120))
sys.stdout.flush()
os._exit(0)  # clients that still try
END

unset http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY all_proxy ALL_PROXY
cd "$work"
for chosen in both second; do
    for client in official official_asyncio of_lightkube of_pykube of_kr8s; do
        venv/bin/python ask.py "$client" "$chosen" 2>/dev/null
    done
done | tee seen
cat >wanted <<'END'
official second
official_asyncio second
of_lightkube ConfigError
of_pykube PyKubeError
of_kr8s first
official second
official_asyncio second
of_lightkube ConfigError
of_pykube PyKubeError
of_kr8s KeyError
END
cmp wanted seen
