"""Names that stand for many in Ansible's inventories: `node[01:40]`, `db-[a:f].example.org`."""

from __future__ import annotations

import itertools
import re

from ..validators import is_port
from .inventory import MAX_HOSTS

_RANGE = re.compile(r"\[([^\[\]]*)\]")
_PORT = re.compile(r"(?P<host>[^:]+):(?P<port>\d{1,5})", re.ASCII)
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LONGEST = 400


def spread(pattern: str) -> tuple[list[str], int | None]:
    """
    Return the names that a pattern stands for, and the port that it ends with.

    :raises ValueError: it stands for none, or for too many.
    """
    if len(pattern) > _LONGEST:
        raise ValueError(f"a name has more than {_LONGEST} characters")
    outside = _RANGE.sub(lambda match: "x" * len(match[0]), pattern)
    port = None
    if (found := _PORT.fullmatch(outside)) and is_port(found["port"]):
        port = int(found["port"])
        pattern = pattern[: len(found["host"])]
        outside = found["host"]
    if "[" in outside or "]" in outside:
        raise ValueError("a bracket has no other half")
    parts = [
        _numbers(part) if position % 2 else [part]
        for position, part in enumerate(_RANGE.split(pattern))
    ]
    count = 1
    for part in parts:
        count *= len(part)
        if count > MAX_HOSTS:
            raise ValueError(f"a range stands for more than {MAX_HOSTS} hosts")
    return ["".join(each) for each in itertools.product(*parts)], port


def _numbers(inside: str) -> list[str]:
    """Return what a range stands for, as ansible.plugins.inventory.expand_hostname_range has it."""
    ends = inside.split(":")
    if len(ends) not in {2, 3} or not ends[1]:
        raise ValueError(f"[{inside[:40]}] is no range such as [01:40]")
    first, last, step = ends[0] or "0", ends[1], ends[2] if len(ends) > 2 else "1"
    if not re.fullmatch(r"[1-9][0-9]{0,8}", step, re.ASCII):
        raise ValueError(f"[{inside[:40]}] has a step that is none")
    if len(first) == len(last) == 1 and {first, last} <= set(_LETTERS):
        letters = _LETTERS[_LETTERS.index(first) : _LETTERS.index(last) + 1 : int(step)]
        found = list(letters)
    elif all(re.fullmatch(r"[0-9]{1,9}", end, re.ASCII) for end in (first, last)):
        width = len(first) if first.startswith("0") and len(first) > 1 else 0
        if width and width != len(last):
            raise ValueError(f"[{inside[:40]}] has ends of different width")
        numbers = range(int(first), int(last) + 1, int(step))
        if len(numbers) > MAX_HOSTS:
            raise ValueError(f"[{inside[:40]}] stands for more than {MAX_HOSTS} hosts")
        found = [str(number).zfill(width) for number in numbers]
    else:
        raise ValueError(f"[{inside[:40]}] is no range such as [01:40]")
    if not found:
        raise ValueError(f"[{inside[:40]}] ends before it begins")
    return found
