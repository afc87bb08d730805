"""
An API server in memory: objects by their paths, server-side apply as a deep merge, empty watches.

It grants every right, and has no controllers: what these would set stands in the objects from the
beginning (`cluster.py`).
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from fabnode.pki import proxy_names
from fabnode.util.merging import merge_deep

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Object = dict[str, Any]

_REVIEWS = ("accessreviews", "rulesreviews")
_EVERYTHING = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
_REQUIREMENT = re.compile(r"([^,=() ]+)(?:=| in )(\([^)]*\)|[^,]*)")
_WATCHED = 300.0  # seconds
# A path without the names in it: of namespaces, of objects.
_NAMES = re.compile(r"(?<=/namespaces/)[^/]+|(?<=/nodes/)[^/]+|(?<=/leases/)[^/]+")


class Api:
    """
    The objects, and a server that answers about them.

    :ivar calls: how often each kind of call came: `GET /api/v1/nodes/*`.
    """

    def __init__(self, version: str, kinds: Iterable[tuple[str, str, str, bool]]) -> None:
        """
        Hold no objects yet.

        :param kinds: what there is: apiVersion, kind, plural, whether it is in namespaces.
        """
        self.version = version
        self.calls: Counter[str] = Counter()
        self._objects: dict[str, Object] = {}
        self._revision = 1
        self._lock = threading.Lock()
        self._kinds: dict[str, list[Object]] = {}
        self._kind_of: dict[tuple[str, str], tuple[str, str]] = {}
        for group, kind, plural, namespaced in kinds:
            base = f"/apis/{group}" if "/" in group else f"/api/{group}"
            self._kinds.setdefault(base, []).append(
                {"name": plural, "kind": kind, "namespaced": namespaced}
            )
            self._kind_of[base, plural] = (group, kind)

    def add(self, path: str, item: Object) -> None:
        """Have an object from now on."""
        with self._lock:
            self._store(path, item)

    def taken(self) -> dict[str, int]:
        """Return the calls since the last time."""
        with self._lock:
            taken, self.calls = self.calls, Counter()
        return dict(taken)

    def serve(self, pem: Path) -> int:
        """Listen on a loopback port; return it. :param pem: certificate and key."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        api = self

        class Handler(_Handler):
            of = api

        server = _Server(("127.0.0.1", 0), Handler)
        server.context = context
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.server_port

    def answer(
        self, method: str, path: str, query: dict[str, str], body: Object
    ) -> tuple[int, Any]:
        """Return status and document."""
        with self._lock:
            self.calls[f"{method} {_NAMES.sub('*', path)}"] += 1
            if path == "/version":
                return 200, {
                    "major": "1",
                    "minor": self.version.split(".")[1],
                    "gitVersion": f"v{self.version}",
                }
            if method == "GET" and path in self._kinds:
                return 200, {"kind": "APIResourceList", "resources": self._kinds[path]}
            if path.endswith(_REVIEWS):
                rules = {"resourceRules": _EVERYTHING, "nonResourceRules": [], "incomplete": False}
                # Whoever asks may do everything; of others it asks about, kube-proxies alone.
                user = str((body.get("spec") or {}).get("user", ""))
                allowed = "/selfsubject" in path or user.startswith(proxy_names.OWN)
                return 201, {**body, "status": {"allowed": allowed, **rules}}
            match method:
                case "GET":
                    return self._get(path, query)
                case "POST":
                    return self._post(path, query, body)
                case "PATCH" | "PUT":
                    return self._change(method, path, query, body)
                case "DELETE":
                    return (200, {}) if self._objects.pop(path, None) else _missing(path)
        return 405, {"message": method}

    def _get(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path in self._objects:
            return 200, self._objects[path]
        base, plural = _split(path)
        if (base, plural) not in self._kind_of:
            return _missing(path)
        group, kind = self._kind_of[base, plural]
        space = re.compile(rf"{re.escape(base)}(/namespaces/[^/]+)?/{plural}/[^/]+")
        inside = f"{path}/" if "/namespaces/" in path else ""
        items = [
            item
            for place, item in self._objects.items()
            if (place.startswith(inside) if inside else space.fullmatch(place))
            and _labelled(item, query.get("labelSelector", ""))
            and _selected(item, query.get("fieldSelector", ""))
        ]
        listed = {"apiVersion": group, "kind": f"{kind}List", "items": items}
        return 200, {**listed, "metadata": {"resourceVersion": str(self._revision)}}

    def _post(self, path: str, query: dict[str, str], body: Object) -> tuple[int, Any]:
        place = f"{path}/{body['metadata']['name']}"
        if place in self._objects:
            return 409, {"reason": "AlreadyExists", "message": place}
        return 201, (body if query.get("dryRun") else self._store(place, body))

    def _change(
        self, method: str, path: str, query: dict[str, str], body: Object
    ) -> tuple[int, Any]:
        old = self._objects.get(path)
        if old is None and query.get("fieldManager") is None:
            return _missing(path)
        new: Any = body if method == "PUT" or old is None else merge_deep(old, body)
        if query.get("dryRun") or new == old:
            return 200, new
        return 200, self._store(path, new)

    def _store(self, path: str, item: Object) -> Object:
        self._revision += 1
        metadata = {
            "uid": f"{self._revision:032x}",
            "creationTimestamp": "2026-11-01T00:00:00Z",
            **item["metadata"],
            "resourceVersion": str(self._revision),
        }
        self._objects[path] = {**item, "metadata": metadata}
        return self._objects[path]


def _split(path: str) -> tuple[str, str]:
    """Return a collection's path as its group's and its plural."""
    words = path.strip("/").split("/")
    count = 2 if words[0] == "api" else 3
    return "/" + "/".join(words[:count]), words[-1]


def _labelled(item: Object, selector: str) -> bool:
    """Say whether an object's labels are meant by `key=value` or `key in (value,value)`."""
    labels = item["metadata"].get("labels") or {}
    return all(
        labels.get(key) in values.strip("()").split(",")
        for key, values in _REQUIREMENT.findall(selector)
    )


def _selected(item: Object, selector: str) -> bool:
    for pair in filter(None, selector.split(",")):
        key, _, wanted = pair.partition("=")
        found: Any = item
        for part in key.split("."):
            found = (found or {}).get(part)
        if str(found or "") != wanted:
            return False
    return True


def _missing(path: str) -> tuple[int, Object]:
    return 404, {"reason": "NotFound", "message": f"{path} not found"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread, so that a client which says nothing holds up nobody.
        with suppress(OSError), self.context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    of: Api

    def do_GET(self) -> None:
        if "watch=" in self.path:
            self._watch()
        else:
            self._answer()

    def _answer(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else {}
        status, document = self.of.answer(self.command, url.path, query, body)
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815 - as http.server has them

    def _watch(self) -> None:
        """Say nothing until the client goes."""
        self.of.calls[f"WATCH {urlsplit(self.path).path}"] += 1
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.flush()
        self.connection.settimeout(_WATCHED)
        with suppress(OSError):
            self.connection.recv(1)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Write nothing."""
