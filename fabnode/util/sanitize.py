"""Sanitizing of remote text before it reaches a terminal."""

from __future__ import annotations

import unicodedata


def clean(text: bytes | str, *, lines: bool = False) -> str:
    """
    Return `text` without control characters, so that no host can steer the operator's terminal.

    :param lines: keep newlines and tabs; otherwise all white space becomes single blanks.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if (text.replace("\n", " ") if lines else text).replace("\t", " ").isprintable():
        return text if lines else " ".join(text.split())
    kept = "\n\t" if lines else ""
    # Cc: control; Cf: invisible, among them those that turn the direction of writing; Cs: half a
    # character, which no encoding carries; Zl, Zp: newlines by other names.
    text = "".join(
        char
        if char in kept or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        else " "
        for char in text
    )
    return text if lines else " ".join(text.split())


def last_lines(text: bytes | str, count: int = 20) -> str:
    """Return the last `count` lines of remote text, cleaned, each as long as a line may be."""
    lines = clean(text, lines=True).strip().split("\n")[-count:]
    return "\n".join(cut(line) for line in lines)


def cut(line: str, longest: int = 400) -> str:
    """Return a line as it may be shown: no host fills the operator's screen with one."""
    return line if len(line) <= longest else f"{line[:longest]}…"
