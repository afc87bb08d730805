"""What the probe prints on a host with these facts: the inverse of `remote/probe_output.py`."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

from fabnode.util.pem import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fabnode.node.facts import Facts, UnitFact

_MODES = {"file": 0x8000, "directory": 0x4000, "symlink": 0xA000}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def lines(facts: Facts) -> str:
    """Return the probe's records of a host, without the clock before and the end after them."""
    records = (*_machine(facts), *_files(facts), *_units(facts), *_images(facts))
    return "".join(f"{'	'.join(record)}\n" for record in records)


def answer(recorded: str, nonce: str) -> bytes:
    """Return what a probe with this nonce prints now."""
    return f"clock\t{time.time():.6f}\n{recorded}end\t{nonce}\n".encode()


def _machine(facts: Facts) -> Iterator[tuple[str, ...]]:
    yield "hostname", facts.hostname
    yield "machine_id", facts.machine_id
    yield "boot_id", facts.boot_id
    yield "uptime", f"{facts.uptime:.2f}"
    yield "kernel", facts.kernel
    yield "os", facts.os_id, facts.os_version
    yield "arch", _MACHINES[facts.arch]
    yield "memory", "MemTotal:", str(facts.memory // 1024)
    yield "memory", "SwapTotal:", str(facts.swap // 1024)
    yield "cgroup", str(facts.cgroup)
    yield "controllers", " ".join(sorted(facts.controllers))
    for number, address in enumerate(facts.addresses, 1):
        yield "address", f"{number}: eth{number - 1}    inet {address}/24 scope global"
    for interface, mtu in facts.mtus.items():
        yield "mtu", interface, str(mtu)
    for line in (facts.resolv_conf or "").splitlines():
        yield "resolv", line
    for path, space in facts.space.items():
        yield "space", f"{space.free // 4096} 4096 {space.inodes or 0} 9999999 {space.kind}", path
    for path, mount in facts.mounts.items():
        shared = "shared" if mount.shared else "private"
        yield "mount", ",".join(sorted(mount.options)), shared, path
    for name in sorted(facts.tools):
        yield "tool", name
    for digest, paths in facts.copies.items():
        for path in paths:
            yield "copy", digest, path
    for name in sorted(facts.modules):
        yield "module", name
    for key, value in facts.sysctls.items():
        yield "sysctl", key, value


def _files(facts: Facts) -> Iterator[tuple[str, ...]]:
    contents = b""
    for path, found in facts.paths.items():
        if found.kind == "absent":
            continue
        mode = f"{_MODES[found.kind] | found.mode:x}"
        yield "path", mode, str(found.uid), str(found.gid), str(found.size), path
        if found.sha256:
            yield "digest", found.sha256, path
        if found.content is not None and found.sha256:
            contents += found.content
            yield "text", str(len(found.content)), path
    yield "texts", base64.b64encode(contents).decode()
    for path, held in facts.certificates.items():
        only = certificates(held.pem.encode())  # of a file with its key as well
        yield "certificate_data", base64.b64encode(only.encode()).decode(), path
    for tag, by_path in (
        ("server", facts.servers),
        ("authority", facts.authorities),
        ("client", facts.clients),
    ):
        for path, value in by_path.items():
            yield tag, value, path


def _units(facts: Facts) -> Iterator[tuple[str, ...]]:
    for name, unit in facts.units.items():
        for setting in _shown(name, unit):
            yield "unit", name, setting
        for path, digest in unit.stamp.items():
            yield "stamp", name, digest, path


def _shown(name: str, unit: UnitFact) -> Iterator[str]:
    yield f"Id={name}"
    yield f"LoadState={unit.load}"
    yield f"ActiveState={unit.active}"
    yield f"SubState={unit.sub}"
    yield f"UnitFileState={unit.enabled}"
    yield f"NRestarts={unit.restarts}"
    yield f"ActiveEnterTimestampMonotonic={int(unit.started * 1e6)}"
    yield f"NeedDaemonReload={'yes' if unit.reload else 'no'}"
    yield f"DropInPaths={' '.join(unit.drop_ins)}"


def _images(facts: Facts) -> Iterator[tuple[str, ...]]:
    if facts.images is None:
        return
    yield ("images",)
    for reference in sorted(facts.images):
        yield "image", reference
    for reference in sorted(facts.pinned):
        yield "pinned", reference
    for reference, digest in facts.image_archives.items():
        yield "archive", digest, reference
