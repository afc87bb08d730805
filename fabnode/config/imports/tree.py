"""Documents of other tools as our settings, by a table of paths against our keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .facts import Ledger, Open, Taken
from .survey import DEFAULT, UNKNOWN, Reasons, Rule, UnfitError, reason
from .values import Kind, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

_ODD = {
    Kind.EXPRESSION: "stands for something of another program's or the environment's",
    Kind.SECRET: "is a secret, and is not read",
    Kind.FOREIGN: "has a YAML tag of another tool's, and is not read",
}


def made(root: Value, rules: Mapping[str, Rule], ledger: Ledger) -> Iterator[Taken | Open]:
    """Yield what becomes of the paths that rules name, in a document or a part of one."""
    for path, rule in rules.items():
        value = root.at(*path.split("."))
        if value is None or value.empty:
            continue
        name = path.rpartition(".")[2]
        found = one(value, rule, name)
        if isinstance(found, Taken) and found.value is None:
            ledger.drop(name, value, DEFAULT)
            continue
        ledger.use(value)
        yield found


def one(value: Value, rule: Rule, name: str) -> Taken | Open:
    """Return what becomes of a value."""
    if (odd := value.odd) is not Kind.PLAIN:
        return Open(rule.key, f"{name} {_ODD[odd]}", value.place, name)
    try:
        return Taken(rule.key, rule.made(value), value.place, name)
    except UnfitError as error:
        return Open(rule.key, f"{name}: {error}", value.place, name)


def note(ledger: Ledger, found: Taken | Open) -> None:
    """Add it to the list that it belongs in."""
    if isinstance(found, Taken):
        ledger.taken.append(found)
    else:
        ledger.open.append(found)


def finish(root: Value, path: str, reasons: Reasons, ledger: Ledger) -> None:
    """
    Name all that nothing was made of: a part as a whole where one reason holds for it.

    :param path: of `root`; empty for a document.
    """
    if ledger.seen(root):
        return
    inner = [*_within(root, path)]
    of_all = reason(path, reasons) != UNKNOWN
    if path and (not inner or (of_all and not any(ledger.seen(each) for each in root.walk()))):
        ledger.drop(path, root, reason(path, reasons))
        return
    for name, value in inner:
        finish(value, name, reasons, ledger)


def _within(root: Value, path: str) -> Iterator[tuple[str, Value]]:
    for key, value in root.keys.items():
        yield (f"{path}.{key}" if path else key), value
    for index, value in enumerate(root.items):
        yield f"{path}[{index}]", value
