"""What doctor finds, as paragraphs for people and as JSON."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from ..util.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..deploy.doctor_runs import Diagnosis
    from ..doctor.cause import Cause, Common
    from ..util.fan_out import Outcome

_INDENT = " " * 4


def paragraphs(
    found: Mapping[str, Outcome[Diagnosis]], shared: Sequence[Common], *, width: int | None
) -> Iterator[str]:
    """Yield what is wrong: first what nodes share, then node by node, the first cause first."""
    for each in shared:
        nodes = ", ".join(each.nodes)
        head = f"{nodes} share this, so that none of them is to blame: {clean(each.cause.text)}"
        yield _wrapped(f"{head} [{each.cause.key}]", [], width)
    alone = {name for each in shared for name in each.nodes}
    well = []
    for name, outcome in found.items():
        if outcome.value is None:
            yield _wrapped(
                f"{name}: can't be checked: {outcome.error or outcome.skipped}", [], width
            )
        elif not outcome.value.causes:
            well.append(name)
        else:
            yield from _of_node(name, outcome.value, width, fixed=name not in alone)
    unseen = {name: ", ".join(o.value.unseen) for name, o in found.items() if o.value}
    if sound := [name for name in well if not unseen[name]]:
        yield f"nothing is wrong with {', '.join(sound)}"
    for what in dict.fromkeys(filter(None, unseen.values())):
        nodes = ", ".join(name for name, text in unseen.items() if text == what)
        yield _wrapped(
            f"{nodes}: not all could be read: this account has no right to list {what}", [], width
        )


def fixes(
    found: Mapping[str, Outcome[Diagnosis]], shared: Sequence[Common]
) -> dict[str, list[str]]:
    """Return what `--fix` would do with each unhealthy node, in order."""
    alone = {name for each in shared for name in each.nodes}
    todo: dict[str, list[str]] = {}
    for name, outcome in found.items():
        if outcome.value and outcome.value.causes:
            acts = () if name in alone else outcome.value.acts
            todo[name] = [act.shown for act in acts]
    return todo


def _of_node(name: str, diagnosis: Diagnosis, width: int | None, *, fixed: bool) -> Iterator[str]:
    known = diagnosis.explained
    for cause in diagnosis.causes:
        if by := known.get(cause.key):
            yield _wrapped(
                f"{name}: {_line(cause.text)} [{cause.key}], explained by {by}", [], width
            )
            continue
        yield _wrapped(f"{name}: {_line(cause.text)} [{cause.key}]", _texts(cause, fixed), width)


def _texts(cause: Cause, fixed: bool) -> list[str]:
    safe = "fix (--fix does it)" if cause.fix.acts and fixed else "fix"
    seen = [f"seen: {_line(cause.seen)}"] if cause.seen else []
    return [*seen, f"{safe}: {_line(cause.fix.text)}"]


def _wrapped(head: str, texts: Sequence[str], width: int | None) -> str:
    if width is None:
        return "\n".join([_line(head), *(_INDENT + text for text in texts)])
    lines = [(_line(head), ""), *((text, _INDENT) for text in texts)]
    return "\n".join(
        textwrap.fill(
            text,
            width,
            initial_indent=indent,
            subsequent_indent=_INDENT + "  ",
            break_on_hyphens=False,
            break_long_words=False,
        )
        for text, indent in lines
    )


def _line(text: str) -> str:
    """Return a text as one line: what a host wrote must not begin one of its own."""
    return clean(text)


def document(found: Mapping[str, Outcome[Diagnosis]], shared: Sequence[Common]) -> dict[str, Any]:
    """Return the JSON: per node its causes, and what several nodes share."""
    alone = {name for each in shared for name in each.nodes}
    return {
        "nodes": [
            _entry(name, outcome, fixed=name not in alone) for name, outcome in found.items()
        ],
        "shared": [{"key": each.cause.key, "nodes": list(each.nodes)} for each in shared],
    }


def _entry(name: str, outcome: Outcome[Diagnosis], *, fixed: bool) -> dict[str, Any]:
    if outcome.value is None:
        return {"node": name, "error": str(outcome.error or outcome.skipped)}
    known = outcome.value.explained
    return {
        "node": name,
        "unseen": list(outcome.value.unseen),
        "causes": [
            {
                "key": cause.key,
                "text": clean(cause.text),
                "seen": clean(cause.seen),
                "fix": clean(cause.fix.text),
                "safe": bool(cause.fix.acts) and fixed and cause.key not in known,
                "explained_by": known.get(cause.key, ""),
            }
            for cause in outcome.value.causes
        ],
    }
