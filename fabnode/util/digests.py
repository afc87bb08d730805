"""The form of digests."""

from __future__ import annotations

import re

_SHA256 = re.compile("[0-9a-f]{64}")


def is_sha256(text: str) -> bool:
    """Match a sha256 in lowercase hexadecimal digits."""
    return _SHA256.fullmatch(text) is not None
