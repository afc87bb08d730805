"""
Container images without a registry: docker-archive tars, each of one layer.

The same inputs give the same bytes, so a node that has an image need not get
it again. Names and tags are those the manifests ask for.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fabnode.util.image_reference import ImageReference

from . import cache, rootfs
from .progress import Progress
from .versions import BUSYBOX_IMAGE, CALICO, PAUSE_IMAGE, architecture

NODE_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
# As in Calico's own image: where confd's `sv hup bird` finds bird. Without it, peers that confd
# learns of after bird's start never come.
SERVICES = "SVDIR=/etc/service/enabled"
BIRD_TEMPLATE = "etc/calico/confd/templates/bird_ipam.cfg.template"

# What programs on a server never read: 40 MB of calico/node's 85.
LEFT_OUT = (
    "dev/",
    "usr/games/",
    "usr/lib/aarch64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/share/",
    "var/cache/",
    "var/lib/apt/",
    "var/lib/dpkg/",
)


@dataclass(frozen=True, slots=True)
class Image:
    """
    What one image holds.

    ``files`` are (path inside, source); ``links`` are (path inside, target);
    ``texts`` are (path inside, content). A source that appears twice is stored
    once, as a hard link. ``others`` are further references to the same image,
    ``setuid`` paths of files that run as their owner, root.
    """

    reference: str
    files: tuple[tuple[str, Path], ...]
    links: tuple[tuple[str, str], ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    folders: tuple[str, ...] = ()
    config: dict[str, object] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    setuid: tuple[str, ...] = ()


def provide(calico: Path, plugins: Path, progress: Progress) -> list[Path]:
    """
    Return the archives of all images: pause, busybox, and Calico's three.

    ``calico`` and ``plugins`` are the folders with Calico's and the CNI project's binaries.
    """
    base = rootfs.calico_base(progress)
    inputs = cache.digest(
        base.name, calico.name, plugins.name, Path(__file__), PAUSE_IMAGE, BUSYBOX_IMAGE
    )

    def make(folder: Path) -> None:
        with progress.work("container images") as report:
            folder.mkdir(parents=True)
            for image in images(base, calico, plugins):
                report(image.reference)
                write_archive(image, folder / archive_name(image.reference))

    return sorted(cache.make_once("images", inputs, make).glob("*.tar"))


def images(base: Path, calico: Path, plugins: Path) -> Iterator[Image]:
    """Yield the images, from the Debian programs and Calico's binaries."""
    busybox = base / "usr/bin/busybox"
    applets = ("cat", "httpd", "ip", "nc", "nslookup", "ping", "sh", "sleep", "wget")
    # As the real one it ends when it is told to: a host that is shut down would wait 90 s for it.
    pause = "trap 'exit 0' INT TERM; /bin/busybox sleep infinity & wait"
    yield Image(
        PAUSE_IMAGE,
        (("bin/busybox", busybox),),
        config={"Entrypoint": ["/bin/busybox", "sh", "-c", pause]},
    )
    yield Image(
        BUSYBOX_IMAGE,
        (("bin/busybox", busybox),),
        tuple((f"bin/{applet}", "busybox") for applet in applets),
        folders=("tmp", "var/www"),
        config={"Cmd": ["sh"]},
    )
    host_plugins = ("bandwidth", "host-local", "loopback", "portmap")
    yield Image(
        f"docker.io/calico/cni:v{CALICO}",
        (
            ("opt/cni/bin/calico", calico / "calico"),
            ("opt/cni/bin/calico-ipam", calico / "calico"),
            ("opt/cni/bin/install", calico / "install"),
            *((f"opt/cni/bin/{name}", plugins / name) for name in host_plugins),
        ),
        config={"Cmd": ["/opt/cni/bin/install"], "WorkingDir": "/opt/cni/bin"},
    )
    yield Image(
        f"docker.io/calico/kube-controllers:v{CALICO}",
        tuple((f"usr/bin/{name}", calico / name) for name in ("check-status", "kube-controllers")),
        folders=("status", "profiles"),
        config={"Entrypoint": ["/usr/bin/kube-controllers"]},
    )
    yield calico_node(base, calico)


def calico_node(base: Path, calico: Path) -> Image:
    """
    Return calico/node: the programs it calls, itself, and its own start scripts.

    Everything goes to ``usr/…``: a path ``bin/…`` or ``sbin/…`` would replace the
    links of a merged-/usr root by real folders, and so hide all programs.
    """
    files, links = programs(base)
    for family in ("iptables", "ip6tables"):  # what update-alternatives would have made
        for suffix in ("", "-save", "-restore"):
            links[f"usr/sbin/{family}{suffix}"] = "xtables-nft-multi"
    links["usr/bin/which"] = "which.debianutils"
    links["usr/bin/birdcl"] = "../sbin/birdc"  # Debian has the client with line editing only
    scripts = calico / "filesystem"
    for path in sorted(scripts.rglob("*")):
        inside = str(path.relative_to(scripts))
        if path.is_file():
            files[f"usr/{inside}" if inside.startswith("sbin/") else inside] = path
    confd = calico / "confd"
    for path in sorted(path for path in confd.rglob("*") if path.is_file()):
        files[f"etc/calico/confd/{path.relative_to(confd)}"] = path
    files["usr/bin/calico-node"] = calico / "calico-node"
    # Debian's runit has a link where calico/node has services; docker refuses a path with both.
    folders = {str(parent) for inside in files for parent in Path(inside).parents}
    links = {inside: target for inside, target in links.items() if inside not in folders}
    texts = {BIRD_TEMPLATE: without_ipip(files.pop(BIRD_TEMPLATE))}
    return Image(
        f"docker.io/calico/node:v{CALICO}",
        tuple(files.items()),
        tuple(links.items()),
        tuple(texts.items()),
        folders=("dev", "proc", "run", "sys", "tmp", "var/log", "var/lib/calico"),
        config={"Cmd": ["start_runit"], "Env": [NODE_PATH, SERVICES]},
    )


def programs(base: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the files and the links of Debian's programs, without what none of them reads."""
    files: dict[str, Path] = {}
    links: dict[str, str] = {}
    for path in sorted(base.rglob("*")):
        inside = str(path.relative_to(base))
        if f"{inside}/".startswith(LEFT_OUT):
            continue
        if path.is_symlink():
            links[inside] = str(path.readlink())
        elif path.is_file():
            files[inside] = path
    return files, links


def without_ipip(template: Path) -> str:
    """
    Return the template of bird's route filter without what only Calico's own bird knows.

    Debian's bird is the release that Calico's is made from, but can't set a route's tunnel. No
    tunnel is what Debian's does anyway, so BGP without encapsulation is the real thing; IPIP isn't.
    """
    lines = template.read_text().splitlines(keepends=True)
    return "".join(line for line in lines if "krt_tunnel" not in line)


def archive_name(reference: str) -> str:
    """Return the file name of an image's archive: ``calico-node-v3.28.5.tar``."""
    image = ImageReference.parse(reference)
    parts = [part for part in image.repository.split("/") if part != "library"]
    return "-".join([*parts, image.tag]) + ".tar"


def write_archive(image: Image, place: Path) -> None:
    """Write an image as `docker save` would: manifest, configuration, and the layer."""
    layer_file = place.with_suffix(".layer")
    write_layer(image, layer_file)
    with layer_file.open("rb") as stream:
        layer = hashlib.file_digest(stream, "sha256").hexdigest()
    config = _json(
        {
            "architecture": architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "fabnode lab"}],
        }
    )
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = _json(
        [
            {
                "Config": config_name,
                "RepoTags": [image.reference, *image.others],
                "Layers": [f"{layer}/layer.tar"],
            }
        ]
    )
    with tarfile.open(place, "w", format=tarfile.PAX_FORMAT) as tar:
        _add_bytes(tar, "manifest.json", manifest)
        _add_bytes(tar, config_name, config)
        _add_file(tar, f"{layer}/layer.tar", layer_file, 0o644)
    layer_file.unlink()


def write_layer(image: Image, place: Path) -> None:
    """Write an image's files, folders and links as a tar in which nothing varies."""
    links = dict(image.links)
    written: set[str] = set()
    first_of: dict[Path, str] = {}
    with tarfile.open(place, "w", format=tarfile.PAX_FORMAT) as tar:
        for inside in image.folders:
            _add_parents(tar, f"{inside}/x", written)
        for inside, target in sorted(links.items()):
            _add_parents(tar, inside, written)
            tar.addfile(_entry(inside, tarfile.SYMTYPE, 0o777, linkname=target))
        for inside, text in sorted(image.texts):
            _add_parents(tar, inside, written)
            _add_bytes(tar, inside, text.encode())
        for inside, source in sorted(image.files):
            _add_parents(tar, inside, written)
            if source in first_of:
                tar.addfile(_entry(inside, tarfile.LNKTYPE, 0o755, linkname=first_of[source]))
            else:
                first_of[source] = inside
                mode = 0o755 if source.stat().st_mode & 0o111 else 0o644
                _add_file(tar, inside, source, 0o4755 if inside in image.setuid else mode)


def _add_parents(tar: tarfile.TarFile, inside: str, written: set[str]) -> None:
    for parent in reversed(Path(inside).parents[:-1]):
        if str(parent) not in written:
            written.add(str(parent))
            mode = 0o1777 if str(parent) == "tmp" else 0o755
            tar.addfile(_entry(str(parent), tarfile.DIRTYPE, mode))


def _add_file(tar: tarfile.TarFile, name: str, source: Path, mode: int) -> None:
    entry = _entry(name, tarfile.REGTYPE, mode)
    entry.size = source.stat().st_size
    with source.open("rb") as stream:
        tar.addfile(entry, stream)


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = _entry(name, tarfile.REGTYPE, 0o644)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _entry(name: str, kind: bytes, mode: int, linkname: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, linkname
    return entry


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
