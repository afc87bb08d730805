"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler, on the machine itself."""

from __future__ import annotations

import signal
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import urllib3

from fabnode.util.families import in_url
from fabnode.util.wait import Wait

from . import cache, cgroups, configuration, pki, processes, versions
from .errors import LabError
from .layout import MAX_CONTROL_PLANES, Address, Layout
from .pki import TRUSTED

READY_SECONDS = 300.0  # a component that ended is noticed at once; a busy machine may be slow
_OTHERS = ("kube-controller-manager", "kube-scheduler")
READY = "/readyz"
MADE_BY_CONTROLLERS = "/api/v1/namespaces/default/serviceaccounts/default"  # among their first


def apiserver_names(count: int) -> tuple[str, ...]:
    """Return what so many API servers are called."""
    return ("kube-apiserver", *(f"kube-apiserver-{n}" for n in range(2, count + 1)))


def components(count: int = 1) -> tuple[str, ...]:
    """Return what the parts of a control plane are called, in the order of starting."""
    return ("etcd", *apiserver_names(count), *_OTHERS)


# What the administrator and fabnode's own account write, so that tests can tell that a run wrote
# nothing. Asking what one may do is no writing; everybody else's requests are not logged.
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  resources: [{group: authorization.k8s.io}]
- level: Metadata
  users: [fabnode-lab-admin, "system:serviceaccount:kube-system:fabnode-deployer"]
  verbs: [create, update, patch, delete, deletecollection]
- level: None
"""


def commands(
    layout: Layout, etcd: Path, kubernetes: Path, release: str, count: int = 1
) -> dict[str, list[str]]:
    """
    Return each component's command, in the order of starting.

    Everything listens on the bridge's addresses only, so that labs don't meet.
    """
    # Old ones also answered without TLS, on every address, unless told not to.
    no_plain_port = ["--port=0"] if versions.has_dockershim(release) else []
    return {
        "etcd": _etcd(layout, etcd),
        **{
            name: _apiserver(layout, kubernetes, name, address)
            for name, address in zip(
                apiserver_names(count), layout.control_planes(count), strict=True
            )
        },
        "kube-controller-manager": _controller_manager(layout, kubernetes) + no_plain_port,
        "kube-scheduler": _scheduler(layout, kubernetes) + no_plain_port,
    }


def _etcd(layout: Layout, binaries: Path) -> list[str]:
    pki_folder, client = layout.pki, layout.etcd
    peer = f"https://{in_url(str(layout.gateway))}:2380"
    return [
        str(binaries / "etcd"),
        "--name=lab",
        f"--data-dir={layout.folder / 'etcd'}",
        "--unsafe-no-fsync",  # a lab's data need not survive a power cut
        "--log-level=warn",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=lab={peer}",
        "--client-cert-auth",
        f"--trusted-ca-file={pki_folder / 'etcd-ca.pem'}",
        f"--cert-file={pki_folder / 'etcd.pem'}",
        f"--key-file={pki_folder / 'etcd-key.pem'}",
        "--peer-client-cert-auth",
        f"--peer-trusted-ca-file={pki_folder / 'etcd-ca.pem'}",
        f"--peer-cert-file={pki_folder / 'etcd.pem'}",
        f"--peer-key-file={pki_folder / 'etcd-key.pem'}",
    ]


def _apiserver(layout: Layout, binaries: Path, name: str, address: Address) -> list[str]:
    folder = layout.pki
    audit = name.replace("kube-apiserver", "audit")
    return [
        str(binaries / "kube-apiserver"),
        f"--bind-address={address}",
        f"--advertise-address={address}",
        "--secure-port=6443",
        f"--etcd-servers={layout.etcd}",
        f"--etcd-cafile={folder / 'etcd-ca.pem'}",
        f"--etcd-certfile={folder / 'apiserver-etcd-client.pem'}",
        f"--etcd-keyfile={folder / 'apiserver-etcd-client-key.pem'}",
        f"--client-ca-file={folder / TRUSTED}",
        f"--tls-cert-file={folder / 'apiserver.pem'}",
        f"--tls-private-key-file={folder / 'apiserver-key.pem'}",
        f"--kubelet-client-certificate={folder / 'apiserver-kubelet-client.pem'}",
        f"--kubelet-client-key={folder / 'apiserver-kubelet-client-key.pem'}",
        f"--kubelet-certificate-authority={folder / TRUSTED}",
        "--kubelet-preferred-address-types=InternalIP",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--enable-bootstrap-token-auth",
        f"--token-auth-file={layout.token_file}",
        "--allow-privileged=true",
        f"--service-cluster-ip-range={layout.service_cidr}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={folder / 'service-account.pub'}",
        f"--service-account-signing-key-file={folder / 'service-account-key.pem'}",
        f"--audit-policy-file={layout.folder / 'audit-policy.yaml'}",
        f"--audit-log-path={layout.logs / f'{audit}.jsonl'}",
    ]


def _controller_manager(layout: Layout, binaries: Path) -> list[str]:
    folder = layout.pki
    return [
        str(binaries / "kube-controller-manager"),
        f"--bind-address={layout.gateway}",
        f"--kubeconfig={folder / 'controller-manager.kubeconfig'}",
        f"--root-ca-file={folder / TRUSTED}",
        f"--cluster-signing-cert-file={folder / 'ca.pem'}",
        f"--cluster-signing-key-file={folder / 'ca-key.pem'}",
        f"--service-account-private-key-file={folder / 'service-account-key.pem'}",
        "--use-service-account-credentials",
        "--controllers=*,bootstrapsigner,tokencleaner",
        "--allocate-node-cidrs",
        f"--cluster-cidr={layout.pod_cidr}",
        f"--service-cluster-ip-range={layout.service_cidr}",
        "--leader-elect=false",  # there is one
    ]


def _scheduler(layout: Layout, binaries: Path) -> list[str]:
    return [
        str(binaries / "kube-scheduler"),
        f"--bind-address={layout.gateway}",
        f"--kubeconfig={layout.pki / 'scheduler.kubeconfig'}",
        "--leader-elect=false",
    ]


def up(
    layout: Layout,
    etcd: Path,
    kubernetes: Path,
    release: str,
    report: Callable[[str], None],
    count: int = 1,
) -> None:
    """
    Start what does not run and return when the API server answers and its controllers work.

    ``kubernetes`` holds the components of this ``release``. The controllers take seconds to begin:
    until then nothing is signed, and they give up when the API server has trouble. Of several API
    servers they use the last, so that the others can be killed.
    """
    names, servers = components(count), layout.apiservers(count)
    for user in ("controller-manager", "scheduler"):
        text = configuration.kubeconfig(layout, user, servers[-1])
        pki.write_secret(layout.pki / f"{user}.kubeconfig", text.encode())
    (layout.folder / "audit-policy.yaml").write_text(AUDIT_POLICY)
    wanted = commands(layout, etcd, kubernetes, release, count)
    # The API server waits for etcd by itself; the other two would give up on
    # an absent API server, so they come once it is ready.
    before, after = names[: -len(_OTHERS)], names[-len(_OTHERS) :]
    for name in before:
        _start(layout, name, wanted[name])
    report(f"waiting for {READY}")
    for server in servers:
        _wait_for(layout, f"{server}{READY}", before)
    for name in after:
        _start(layout, name, wanted[name])
    report("waiting for the controllers")
    _wait_for(layout, f"{layout.apiserver}{MADE_BY_CONTROLLERS}", names)


def down(layout: Layout) -> None:
    """Stop all of it, those that use another first."""
    for name in reversed(components(MAX_CONTROL_PLANES)):
        processes.stop(layout.record(name))
    for pid in cgroups.members(layout.cgroup("control")):
        processes.send(pid, signal.SIGKILL)
    cgroups.remove(layout.cgroup("control"))


def forget(layout: Layout) -> None:
    """Stop the control plane and empty its store: a new cluster with the same keys."""
    down(layout)
    cache.remove(layout.folder / "etcd")


def running(layout: Layout, count: int = 1) -> dict[str, bool]:
    """Return which components run."""
    return {name: processes.find(layout.record(name)) is not None for name in components(count)}


def ready(layout: Layout) -> bool:
    """Return whether the API server says that it is ready."""
    with _client(layout) as http:
        return _answers(http, f"{layout.apiserver}{READY}")


def _client(layout: Layout) -> urllib3.PoolManager:
    try:
        context = ssl.create_default_context(cafile=str(layout.pki / TRUSTED))
        context.load_cert_chain(layout.pki / "admin.pem", layout.pki / "admin-key.pem")
    except FileNotFoundError as error:
        cause = f"{layout.pki} lacks a certificate: this lab was made by other code"
        raise LabError(f"{cause}; take it down first (`inv lab.down`)") from error
    return urllib3.PoolManager(ssl_context=context, timeout=10, retries=False)


def _answers(http: urllib3.PoolManager, url: str) -> bool:
    try:
        return http.request("GET", url).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _start(layout: Layout, name: str, command: list[str]) -> None:
    if processes.find(layout.record(name)) is None:
        # A cgroup of their own, so that they are found even if their records are lost.
        group = cgroups.make(layout.cgroup("control"))
        processes.start(command, layout.record(name), layout.logs / f"{name}.log", group)


def _wait_for(layout: Layout, url: str, started: Sequence[str]) -> None:
    """Wait until this is there at an API server; LabError once one that was started has ended."""
    wait = Wait(url, READY_SECONDS)
    with _client(layout) as http:  # one connection: TLS costs more than the question
        while not _answers(http, url):
            for name in started:
                log = layout.logs / f"{name}.log"
                if processes.ended(layout.record(name)):
                    raise LabError(f"{name} ended: {_last_line(log)} (all of it: {log})")
            if wait.over:
                raise LabError(str(wait.overdue(f"{layout.logs} may tell why")))
            wait.pause()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][-300:] if lines else "without a word"
