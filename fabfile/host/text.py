"""Remote text made fit for a terminal."""

from __future__ import annotations

import unicodedata


def clean(text: bytes | str, *, lines: bool = False) -> str:
    """
    Return `text` without control characters, so that no host can steer the operator's terminal.

    :param lines: keep line ends and tabs; otherwise all white space becomes single blanks.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    kept = "\n\t" if lines else ""
    # Cc: control; Cf: invisible, among them those that turn the direction of writing; Cs: half a
    # character, which no encoding carries; Zl, Zp: line ends by other names.
    text = "".join(
        char
        if char in kept or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        else " "
        for char in text
    )
    return text if lines else " ".join(text.split())


def last_lines(text: bytes | str, count: int = 20) -> str:
    """Return the last `count` lines of remote text, cleaned."""
    return "\n".join(clean(text, lines=True).strip().split("\n")[-count:])
