#!/bin/sh
# A kubeconfig with `tls-server-name`, as read by three Python clients of Kubernetes:
# kubernetes 37.0.2, pykube-ng 23.6.0, lightkube 1.0.1.
#
# One would guess: the apiserver's certificate is compared with that name, which is what the field is for:
#   a tunnel, a balancer on loopback or an address that no certificate has.
# What happens: lightkube passes over the field and compares with the address of `server`, so that it trusts
#   no apiserver by such a kubeconfig; its error speaks of the address and not of the field. The others
#   connect.
# Seen (the certificate is for kubernetes.default.svc alone, the server 127.0.0.1):
#   kubernetes   answered
#   pykube-ng    answered
#   lightkube    certificate is not valid for '127.0.0.1'
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check kubernetes==37.0.2 pykube-ng==23.6.0 \
    lightkube==1.0.1 lightkube-models==1.37.0.8
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=apiserver \
    -addext subjectAltName=DNS:kubernetes.default.svc -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null

unset http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY all_proxy ALL_PROXY
cd / && "$work/venv/bin/python" - "$work" <<'END'
import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import kubernetes
import lightkube
import pykube
from lightkube.resources.core_v1 import Namespace

folder = Path(sys.argv[1])


class Answer(BaseHTTPRequestHandler):
    """An apiserver without namespaces."""

    def do_GET(self):
        body = json.dumps({"apiVersion": "v1", "kind": "NamespaceList", "metadata": {}, "items": []})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()

path = folder / "kubeconfig"
cluster = {
    "server": f"https://127.0.0.1:{server.server_port}",
    "certificate-authority": str(folder / "cert.pem"),
    "tls-server-name": "kubernetes.default.svc",
}
path.write_text(
    json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )
)


def official():
    settings = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(path), client_configuration=settings, persist_config=False)
    settings.retries = False
    kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(settings)).list_namespace()


def of_pykube():
    client = pykube.HTTPClient(pykube.KubeConfig.from_file(str(path)))
    list(pykube.Namespace.objects(client))


def of_lightkube():
    list(lightkube.Client(lightkube.KubeConfig.from_file(str(path))).list(Namespace))


def outcome(ask):
    try:
        ask()
    except Exception as error:
        return str(error)
    return "answered"


for ask, expected in {official: "answered", of_pykube: "answered", of_lightkube: "127.0.0.1"}.items():
    seen = outcome(ask)
    print(f"{ask.__name__:13}", seen)
    assert expected in seen, "it is otherwise now"
END
