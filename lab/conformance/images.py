"""The images that Kubernetes' tests ask for, made here: there is no registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .. import cache, images, rootfs
from ..images import NODE_PATH, Image
from ..progress import Progress
from ..versions import COREDNS

# kubernetes test/utils/image/manifest.go has the names and tags.
TESTS = "registry.k8s.io/e2e-test-images"

SUITE = "trixie"  # whose busybox is of the release that the tests' image is
PACKAGES = (
    "base-files",
    "bash",
    "bash-static",
    "bind9-dnsutils",
    "busybox-static",
    "conntrack",
    "coreutils",
    "curl",
    "dash",
    "grep",
    "hostname",
    "iperf",
    "iproute2",
    "iptables",
    "libc-bin",
    "netbase",
    "netcat-openbsd",
    "nginx",
    "procps",
    "sed",
    "socat",
    "tar",
    "util-linux",
)

# Of busybox, what tests call by name in its image.
APPLETS = (
    *("[", "[[", "ash", "awk", "base64", "basename", "cat", "chgrp", "chmod", "chown", "cp", "cut"),
    *(
        "date",
        "dd",
        "df",
        "dirname",
        "dmesg",
        "du",
        "echo",
        "egrep",
        "env",
        "expr",
        "false",
        "fgrep",
    ),
    *("find", "free", "grep", "gunzip", "gzip", "head", "hostname", "httpd", "id", "ifconfig"),
    *("ip", "ipcs", "kill", "killall", "ln", "ls", "md5sum", "mkdir", "mkfifo", "mknod", "mktemp"),
    *("more", "mount", "mv", "nc", "netstat", "nproc", "nslookup", "od", "pgrep", "pidof", "ping"),
    *("printf", "ps", "pwd", "readlink", "realpath", "rm", "rmdir", "route", "sed", "seq"),
    *("sha256sum", "sleep", "sort", "stat", "stty", "sync", "sysctl", "tail", "tar", "tee"),
    *("telnet", "test", "time", "timeout", "top", "touch", "tr", "traceroute", "true", "tty"),
    *("umount", "uname", "uniq", "unlink", "uptime", "usleep", "vi", "watch", "wc", "wget"),
    *("which", "who", "whoami", "xargs", "yes"),
)

# A user and a group that a test of supplemental groups expects in agnhost's image.
USERS = """\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/sh
www-data:x:33:33:www-data:/var/www:/bin/sh
user-defined-in-image:x:1000:1000::/:/bin/sh
"""
GROUPS = """\
root:x:0:
www-data:x:33:
user-defined-in-image:x:1000:
nogroup:x:65534:
group-defined-in-image:x:50000:user-defined-in-image
"""
FOLDERS = ("dev", "proc", "root", "run", "sys", "tmp")
NGINX = """\
events {}
http {
  server {
    listen 80;
    root /var/www;
  }
}
"""


def provide(e2e: Path, coredns: Path, progress: Progress) -> list[Path]:
    """Return the archives, from the folders with the tests' programs and with CoreDNS."""
    base = rootfs.programs("e2e", SUITE, PACKAGES, progress)
    inputs = cache.digest(
        base.name, e2e.name, coredns.name, Path(__file__), Path(str(images.__file__))
    )

    def make(folder: Path) -> None:
        with progress.work("images of the tests") as report:
            folder.mkdir(parents=True)
            for image in all_images(base, e2e, coredns):
                report(image.reference)
                images.write_archive(image, folder / images.archive_name(image.reference))

    return sorted(cache.make_once("images", f"e2e-{inputs}", make).glob("*.tar"))


def all_images(base: Path, e2e: Path, coredns: Path) -> Iterator[Image]:
    """Yield the images, from Debian's programs and those of the tests."""
    files, links = images.programs(base)
    files |= {
        "agnhost": e2e / "agnhost",
        "coredns": coredns / "coredns",
        "localhost.crt": e2e / "localhost.crt",
        "localhost.key": e2e / "localhost.key",
    }
    links |= {
        "agnhost-2": "agnhost",
        "usr/bin/awk": "busybox",
        "usr/bin/hexdump": "busybox",
        "usr/bin/nc": "nc.openbsd",
        "usr/bin/ping": "busybox",
        "usr/bin/wget": "busybox",
    }
    for family in ("iptables", "ip6tables"):  # what update-alternatives would have made
        for suffix in ("", "-save", "-restore"):
            links[f"usr/sbin/{family}{suffix}"] = "xtables-nft-multi"
    links = {inside: target for inside, target in links.items() if inside not in files}
    accounts = (("etc/group", GROUPS), ("etc/passwd", USERS))
    folders = (*FOLDERS, "uploads", "var/lib/nginx", "var/log/nginx", "var/www")
    for inside, _ in accounts:
        files.pop(inside, None)
    yield Image(
        f"{TESTS}/agnhost:2.66.1",
        tuple(files.items()),
        tuple(links.items()),
        accounts,
        folders,
        {"Entrypoint": ["/agnhost"], "Cmd": ["pause"], "Env": [NODE_PATH]},
        # An older agnhost, and Debian's dig; of both the tests take only what this one has.
        others=(f"{TESTS}/agnhost:2.55", f"{TESTS}/glibc-dns-testing:2.1.1"),
    )
    own = {inside for inside in files if inside.startswith("etc/nginx/")}
    yield Image(
        f"{TESTS}/nginx:1.28.0-2",
        tuple((inside, source) for inside, source in files.items() if inside not in own),
        tuple((i, target) for i, target in links.items() if not i.startswith("etc/nginx/")),
        (
            *accounts,
            ("etc/nginx/nginx.conf", NGINX),
            ("var/www/index.html", "<h1>Welcome to nginx!</h1>\n"),
        ),
        folders,
        {"Cmd": ["nginx", "-g", "daemon off;"], "Env": [NODE_PATH]},
        # One that tests sleep in, for its conntrack.
        others=(
            f"{TESTS}/nginx:1.27.0-2",
            "registry.k8s.io/build-image/distroless-iptables:v0.9.9",
        ),
    )
    yield from _small(base, e2e, coredns)


def _small(base: Path, e2e: Path, coredns: Path) -> Iterator[Image]:
    """Yield the images of one program each."""
    for reference, user in ((f"{TESTS}/busybox:1.37.0-2", ""), (f"{TESTS}/nonroot:1.5", "1234")):
        yield Image(
            reference,
            # Debian's busybox has a shell that drops variables like `data-1`, which two tests
            # set; upstream's keeps them, and so does bash.
            (("bin/busybox", base / "usr/bin/busybox"), ("bin/sh", base / "usr/bin/bash-static")),
            tuple((f"bin/{applet}", "busybox") for applet in APPLETS),
            (("etc/group", GROUPS), ("etc/passwd", USERS)),
            (*FOLDERS, "var"),
            {"Cmd": ["sh"], "Env": ["PATH=/bin"]} | ({"User": user} if user else {}),
        )
    yield Image(
        f"{TESTS}/nonewprivs:1.4",
        (("usr/local/bin/nnp", e2e / "nonewprivs"),),
        config={"Cmd": ["nnp"], "Env": ["PATH=/usr/local/bin"]},
        setuid=("usr/local/bin/nnp",),
    )
    single = {
        f"{TESTS}/regression-issue-74839:1.5": e2e / "regression-issue-74839",
        "registry.k8s.io/pause:3.10.2": e2e / "pause",
        f"registry.k8s.io/coredns/coredns:v{COREDNS}": coredns / "coredns",
    }
    for reference, program in single.items():
        config: dict[str, object] = {"Entrypoint": [f"/{program.name}"]}
        yield Image(reference, ((program.name, program),), folders=("tmp",), config=config)
