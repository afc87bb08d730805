"""
Limits of a host's answers: counts and lengths, shared by the scripts and their parsers.

The scripts get them as variables and keep to them, so that an honest host, however large, is cut
short and says so (`unseen`). The parsers hold every host to the same numbers, so that one which
does not keep to them is refused before its answer costs more than reading it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

from ..util.errors import FabnodeError

COPIES = 100
"""Files that a probe hashes in search of copies of programs."""

COPIED_BYTES = 768 * 2**20
"""Bytes of these, which is twice what a node gets."""


class MalformedError(FabnodeError, ValueError):
    """Not what our scripts print."""


@dataclass(frozen=True, slots=True)
class ExamineLimits:
    """
    What `scripts/examine` prints at most; its variables have these names, with `most_` before.

    :param files: with keys or certificates; `root_files` in one root, `others_files` in one folder
        that others may write, and so are `others_bytes`; `all_others_bytes` in all such folders.
    :param texts: unit files and configurations. :param anchors: files that these name.
    :param keys, tokens: of one file. :param blocks: certificates in one file; `block_lines` each.
    :param units: that are asked about, with `settings` of each.
    :param users, running: names of files in other files; on command lines.
    :param executables: files that one unit runs. :param rules: of one table.
    :param *_length: letters, of one line or argument.
    :param text_size: bytes of one text.
    """

    files: int = 4000
    root_files: int = 100
    others_files: int = 20
    others_bytes: int = 300_000
    all_others_bytes: int = 2_500_000
    texts: int = 40
    anchors: int = 40
    text_size: int = 65536
    keys: int = 4
    tokens: int = 5
    blocks: int = 12
    block_lines: int = 120
    block_length: int = 128
    users: int = 300
    running: int = 100
    swaps: int = 48
    units: int = 40
    settings: int = 20
    args: int = 200
    arg_length: int = 4000
    unit_length: int = 4000
    rules: int = 1000
    rule_length: int = 1000
    quarantined: int = 100
    listeners: int = 100
    executables: int = 20
    unseen: int = 100
    limits: int = 5000

    @property
    def uses(self) -> int:
        """Users of files in all: files and command lines that name them, links that lead there."""
        return self.users + self.running + 2 * self.anchors


EXAMINE_LIMITS = ExamineLimits()

# Of `scripts/survey`, and of the record from before the first change: lines of each kind, letters
# of one, lines and bytes of that record; and pods' sandboxes.
SURVEY_LINES = 20_000
SURVEY_LETTERS = 3000
RECORD_LINES = 60_000
RECORD_BYTES = 2 * 2**20
SANDBOXES = 1000

# Of `scripts/probe`.
TEXT_SIZE = 262144
STATIC_PODS = 20  # files named of the folder of static pods
OTHERS = 40  # programs and files of others that root runs or goes by
CERTIFICATE_FILES = 64  # that a probe shows certificates of; it asks for fewer than ten

# Of `scripts/doctor`: lines of a unit's journal that it goes through, those that it sends and
# letters of one, names in a folder, listeners.
JOURNAL_READ = 2000
JOURNAL_LINES = 250
JOURNAL_LETTERS = 900
NAMES = 100
LISTENERS = 40


def assignments(limits: ExamineLimits = EXAMINE_LIMITS) -> str:
    """Return the limits as a line of shell: `most_files=400 …`."""
    return " ".join(f"most_{name}={value}" for name, value in asdict(limits).items())


class Tally:
    """Counts what an answer holds of each kind."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def one_more(self, what: str, most: int, of: str = "") -> None:
        """
        Count one.

        :param of: what the limit holds for, such as one file; nothing: the whole answer.
        :raises MalformedError: that is more than `most`.
        """
        self._counts[what, of] += 1
        if self._counts[what, of] > most:
            raise MalformedError(f"more than {most} {what}" + (f" for {of[:60]!r}" if of else ""))


def fits(text: str, longest: int, what: str) -> str:
    """Return a text that is no longer than that. Raises MalformedError."""
    if len(text) > longest:
        raise MalformedError(f"{what} of {len(text)} letters")
    return text
