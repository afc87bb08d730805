#!/bin/sh
# A kubeconfig that names two users alike, as concatenating or merging by hand leaves it, as read by
# kubernetes 37.0.2, kubernetes_asyncio 36.1.0, lightkube 1.0.1 and pykube-ng 23.6.0.
#
# One would guess: they refuse it, as kubectl does ("error converting *[]NamedAuthInfo into
#   *map[string]*api.AuthInfo: duplicate name", 1.37.2), or at least agree on which of them counts.
# What happens: two of them take the first, two the last, and none says a word, so that one file is
#   one account for one program and another for the next.
# Seen (the token that is sent):
#   kubernetes, kubernetes_asyncio   first
#   lightkube, pykube-ng             second
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check kubernetes==37.0.2 \
    kubernetes_asyncio==36.1.0 lightkube==1.0.1 lightkube-models==1.37.0.8 pykube-ng==23.6.0
cat >"$work/config" <<'END'
apiVersion: v1
kind: Config
clusters:
- name: c
  cluster: {server: "http://127.0.0.1:1"}
users:
- name: u
  user: {token: first}
- name: u
  user: {token: second}
contexts:
- name: x
  context: {cluster: c, user: u}
current-context: x
END

"$work/venv/bin/python" - "$work/config" <<'END'
import asyncio
import sys

import kubernetes
import kubernetes_asyncio
import lightkube
import pykube

path = sys.argv[1]
settings = kubernetes.client.Configuration()
kubernetes.config.load_kube_config(path, client_configuration=settings, persist_config=False)


async def of_asyncio():
    settings = kubernetes_asyncio.client.Configuration()
    await kubernetes_asyncio.config.load_kube_config(path, client_configuration=settings)
    return await settings.get_api_key_with_prefix("BearerToken")


seen = {
    "kubernetes": settings.get_api_key_with_prefix("BearerToken"),
    "kubernetes_asyncio": asyncio.run(of_asyncio()),
    "lightkube": lightkube.KubeConfig.from_file(path).get().user.token,
    "pykube-ng": pykube.KubeConfig.from_file(path).user["token"],
}
for client, token in seen.items():
    print(f"{client:20} {token}")
assert [str(token).removeprefix("Bearer ") for token in seen.values()] == [
    "first",
    "first",
    "second",
    "second",
], "it is otherwise now"
END
