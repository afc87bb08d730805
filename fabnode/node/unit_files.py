"""Unit files: where systemd finds them and their drop-ins, which of them count, what they set."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from posixpath import dirname

from .config_files import ConfigFiles, in_order

# The first file of a name wins: systemd.unit(5), as systemd's own `systemd-analyze unit-paths`.
FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)


def drop_in_folders(unit: str) -> tuple[str, ...]:
    """Return the names of folders with a unit's drop-ins: its own, of its prefixes, of its type."""
    stem, _, kind = unit.rpartition(".")
    words = stem.split("-")
    prefixes = ("-".join(words[:count]) for count in range(len(words) - 1, 0, -1))
    return (f"{unit}.d", *(f"{prefix}-.{kind}.d" for prefix in prefixes), f"{kind}.d")


def unit_file(unit: str, files: ConfigFiles) -> str:
    """Return the file that systemd takes for a unit; empty where there is none."""
    return next((path for folder in FOLDERS if (path := f"{folder}/{unit}") in files), "")


def drop_ins(unit: str, files: ConfigFiles, known: Iterable[str] = ()) -> tuple[str, ...]:
    """
    Return the drop-ins that count for a unit, in the order in which systemd reads them.

    :param known: those that systemd has read for it; of other names of the unit's, they come last.
    """
    *own, of_type = drop_in_folders(unit)
    order = [f"{folder}/{name}" for folder in FOLDERS for name in own]
    order += [f"{folder}/{of_type}" for folder in FOLDERS]
    by_name = in_order(order, files)
    # Without /lib apart from /usr, systemd may name either.
    real = (path if path in files else f"/usr{path}" for path in known)
    by_alias = (path for path in real if files.get(path) and dirname(path) not in order)
    return (*by_name, *dict.fromkeys(by_alias))


def words(text: str) -> list[str]:
    """Return the words of a command line or of variables, without their quotes."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def variables(text: str) -> dict[str, str]:
    """Return the variables that an `Environment=`, or a line of an EnvironmentFile, sets."""
    parts = (word.partition("=") for word in words(text))
    return {name: value for name, equals, value in parts if equals}


def settings(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the settings of a unit file or drop-in, each as its name and value."""
    whole = ""
    for line in lines:
        whole += line.strip()
        if whole.endswith("\\"):
            whole = f"{whole[:-1]} "
            continue
        name, equals, value = whole.partition("=")
        whole = ""
        if equals and not name.startswith(("#", ";")):
            yield name.strip(), value.strip()
