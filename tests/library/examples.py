"""The examples in docs/library.md."""

from __future__ import annotations

import re
from pathlib import Path

LIBRARY = Path(__file__).parents[2] / "docs" / "library.md"


def examples() -> list[str]:
    """Return the Python examples in their order."""
    return re.findall(r"^```python\n(.*?)^```", LIBRARY.read_text(), re.MULTILINE | re.DOTALL)


def example(word: str) -> str:
    """Return the one example that has this word in it."""
    (found,) = (text for text in examples() if word in text)
    return found
