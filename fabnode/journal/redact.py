"""Redaction of text before it is shown or stored: no control characters, no secrets."""

from __future__ import annotations

import base64
import re
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

REDACTED = "[redacted]"

# CSI …, OSC … (ended by BEL, ST or the end of the line), and two-character escapes.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_SECRETS = re.compile(
    r"(?<![a-z0-9])[a-z0-9]{6}\.[a-z0-9]{16}(?![a-z0-9])"  # a bootstrap token
    # A service account's token (JWT), with what it is attached to. Matched once for each run of
    # letters: starting at every `eyJ` in one would take quadratic time.
    r"|(?<![\w-])(?=[\w-]*?\beyJ[\w-]{8})[\w-]++\.[\w-]++\.[\w-]*+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_SHORTEST = 4  # shorter values would blot out ordinary text


def clean(text: str) -> str:
    """Return the text without escape sequences and control characters; newlines stay."""
    if text.isprintable():
        return text
    text = _ESCAPES.sub("", text.replace("\r\n", "\n")).replace("\t", "    ")
    return "".join(c if c == "\n" else _visible(c) for c in text)


def _visible(char: str) -> str:
    # Cc: control; Cf: invisible, among them those that change the direction of writing; Zl, Zp:
    # line and paragraph separators; Cs: surrogates, which can't be encoded.
    match unicodedata.category(char):
        case "Cc" | "Cf":
            return ""
        case "Zl" | "Zp":
            return " "
        case "Cs":
            return "\N{REPLACEMENT CHARACTER}"
    return char


class Redactor:
    """Replaces known secrets, and whatever resembles a token or a private key, in text and data."""

    __slots__ = ("_known", "_pattern")

    def __init__(self, values: Iterable[str] = ()) -> None:
        """Begin with these secret values."""
        self._known: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        for value in values:
            self.add(value)

    def add(self, value: str | bytes) -> None:
        """Add a secret value and its base64 form; values under 4 characters are ignored."""
        raw = value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
        text = clean(raw.decode(errors="replace")).strip()
        if len(text) < _SHORTEST:
            return
        self._known |= {text, base64.b64encode(raw).decode()}
        longest_first = sorted(self._known, key=len, reverse=True)
        # One assignment, so that other threads see the old pattern or the new one.
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """Return the text cleaned, with `[redacted]` in place of each secret."""
        text = clean(text)
        if self._pattern is not None:
            text = self._pattern.sub(REDACTED, text)
        return _SECRETS.sub(REDACTED, text)

    def data(self, value: Any) -> Any:
        """Return JSON-like data with every string in it redacted; other objects become strings."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {self.text(str(key)): self.data(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.data(item) for item in value]
        return self.text(str(value))
