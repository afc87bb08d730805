"""Files of settings in several folders, as systemd, sysctl and modprobe read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from posixpath import basename, dirname

from ..util.sysctl_aliases import ALIASES

ConfigFiles = Mapping[str, tuple[str, ...]]
"""Path → lines of a file of settings, without comments; none: it is empty, or /dev/null."""

_LIBRARIES = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
SYSCTL_FOLDERS = tuple(f"{folder}/sysctl.d" for folder in _LIBRARIES)
SYSCTL_FILE = "/etc/sysctl.conf"
MODPROBE_FOLDERS = tuple(f"{folder}/modprobe.d" for folder in _LIBRARIES)
DOCKER_VARIABLES = (
    "/etc/default/docker",
    *(f"/etc/sysconfig/{name}" for name in ("docker", "docker-storage", "docker-network")),
)
"""Files that units of docker's packages take variables for its command line from."""
CONTAINERD_IMPORTS = "/etc/containerd/conf.d"
FSTAB = "/etc/fstab"
NETWORK_MANAGER = "/run/NetworkManager"
"""There while NetworkManager runs."""
NETWORK_MANAGER_FILE = "/etc/NetworkManager/NetworkManager.conf"
NETWORK_MANAGER_FOLDERS = tuple(
    f"{at}/NetworkManager/conf.d" for at in ("/etc", "/run", "/usr/lib")
)
NETWORKD = "/run/systemd/netif/state"
"""There while systemd-networkd runs."""
NETWORKD_FOLDERS = tuple(
    f"{at}/systemd/network" for at in ("/etc", "/run", "/usr/local/lib", "/usr/lib")
)
KERNEL_COMMAND_LINE = "/proc/cmdline"


def in_order(folders: Iterable[str], files: ConfigFiles, suffix: str = ".conf") -> tuple[str, ...]:
    """
    Return those of the files that count, in the order in which they are read.

    Names give the order, whichever folder they are in; of the same name the first folder's counts,
    where an empty one hides the others.
    """
    there = defaultdict(list)
    for path in files:
        there[dirname(path)].append(path)
    first: dict[str, str] = {}
    for folder in folders:
        for path in there.get(folder, ()):
            if path.endswith(suffix):
                first.setdefault(basename(path), path)
    return tuple(path for _, path in sorted(first.items()) if files[path])


def sysctls(files: ConfigFiles) -> dict[str, tuple[str, str, str]]:
    """
    Return the settings of the kernel as they will be.

    Their names → the last file, its value, and by which name or pattern it sets that.

    :const:`SYSCTL_FILE` comes last: sysctl(8) reads it so, and systemd where a link in one of the
    folders leads there. A pattern does not count, for a key's own line wins over that; one that
    sets a key by its other name does.
    """
    found: dict[str, tuple[str, str, str]] = {}
    order = in_order(SYSCTL_FOLDERS, files)
    for path in (*order, *([SYSCTL_FILE] if SYSCTL_FILE in files else [])):
        for line in files[path]:
            key, equals, value = line.partition("=")
            if equals:
                name = sysctl_name(key.strip().removeprefix("-"))
                found[_aliased(name) or name] = (path, value.strip(), name)
    return found


def _aliased(name: str) -> str:
    """Return which setting of ours the kernel changes by a name or pattern; empty: none."""
    words = name.split(".")
    for alias, meant in ALIASES.items():
        parts = alias.split(".")
        if len(parts) == len(words) and all(map(fnmatchcase, parts, words)):
            return meant
    return ""


def sysctl_words(keys: Iterable[str]) -> tuple[str, ...]:
    """Return the last words of the names that lines about these settings have."""
    wanted = tuple(map(sysctl_name, keys))
    aliases = (alias for alias, meant in ALIASES.items() if meant in wanted)
    return tuple(dict.fromkeys(name.rpartition(".")[2] for name in (*wanted, *aliases)))


def sysctl_name(key: str) -> str:
    """Return a key in its form with dots: `net/ipv4/conf/eth0.1/x` is `net.ipv4.conf.eth0/1.x`."""
    slash, dot = key.find("/"), key.find(".")
    turned = slash >= 0 and (dot < 0 or slash < dot)
    return key.translate(str.maketrans("/.", "./")) if turned else key


def swaps_at_boot(files: ConfigFiles) -> tuple[str, ...]:
    """Return what fstab swaps to at boot."""
    entries = (line.split() for line in files.get(FSTAB, ()))
    return tuple(
        entry[0] for entry in entries if entry[2:3] == ["swap"] and "noauto" not in _options(entry)
    )


def _options(entry: list[str]) -> list[str]:
    return "".join(entry[3:4]).split(",")


def refused_modules(files: ConfigFiles) -> Iterator[tuple[str, str, str]]:
    """Yield which modules are not loaded at boot, each with the file and the words that say so."""
    for path in in_order(MODPROBE_FOLDERS, files):
        for line in files[path]:
            match line.split():
                case ["blacklist", name, *_]:
                    yield _module(name), path, f"blacklist {name}"
                case ["install", name, *command] if "modprobe" not in " ".join(command):
                    yield _module(name), path, " ".join(("install", name, *command))
    for line in files.get(KERNEL_COMMAND_LINE, ()):
        for word in line.split():
            option, _, names = word.partition("=")
            if option in {"module_blacklist", "modprobe.blacklist"}:
                for name in names.split(","):
                    yield _module(name), "the kernel's command line", f"{option}={name}"


def _module(name: str) -> str:
    return name.replace("-", "_")
