"""Types of command line options that Invoke lacks."""

from __future__ import annotations

from typing import Self

from invoke.exceptions import Exit

_BAD_INPUT = 2


class Whole(int):
    """A whole number. As an option's default it makes Invoke answer other words with a sentence."""

    def __new__(cls, value: object = 0) -> Self:
        """Read a word of the command line; exit 2 where it is no number."""
        try:
            return super().__new__(cls, str(value))
        except ValueError:
            raise Exit(f"{value!r} is not a whole number", _BAD_INPUT) from None
