"""Types of command line options that Invoke lacks."""

from __future__ import annotations

from typing import ClassVar, Self

from invoke.exceptions import Exit

_BAD_INPUT = 2


class Whole(int):
    """A whole number of the command line; `whole` makes one that knows its option."""

    option: ClassVar[str]

    def __new__(cls, value: object) -> Self:
        """Read a word of the command line; exit 2 where it is not a number."""
        try:
            return super().__new__(cls, str(value))
        except ValueError:
            raise Exit(f"{cls.option}: {value!r} is not a whole number", _BAD_INPUT) from None


def whole(option: str, value: object = 0) -> Whole:
    """
    Return the value of an option, such as `--batch`; as a task's default it is the option's type.

    Invoke reads what users give by the default's class. Each option has a class of its own, so
    that the sentence about a bad number can name it.
    """
    kind: type[Whole] = type("Whole", (Whole,), {"option": option})
    return kind(value)
