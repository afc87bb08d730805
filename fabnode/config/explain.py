"""What a key of the configuration means, by the same schema that editors get."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..util.problems import ConfigError, Problem, either, nearest
from .schema import OVERRIDDEN, schema

_TOKENS = re.compile(r"\[(?P<inside>[^\]]*)\]|(?P<key>[^.\[\]]+)")
_WORDS = {"string": "text", "integer": "whole number", "number": "number"}
_REFERENCE = "SecretRef"
_ANY = "JsonValue"
_MOST_LINES = 6

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    What a key means.

    :param key: as the configuration names it, `NAME` for a name that the site chooses.
    :param kind: its type, in words.
    :param default: as JSON knows it; of no use where `required`, and None where it is left out.
    :param allowed: which values of that type; empty: any.
    :param scope: where it may be set; empty: here alone.
    :param example: lines of config/example.yml.
    :param keys: the keys below it, each with what it means.
    """

    key: str
    meaning: str
    kind: str
    required: bool
    default: object
    allowed: str
    scope: str
    example: str
    keys: Mapping[str, str]


def explain(key: str, example: str) -> Explanation:
    """
    Explain a key such as `kubelet.max_pods`, `nodes[n1].ssh.port` or `groups.NAME.labels`.

    :param key: empty or a dot for the whole file.
    :param example: text of config/example.yml.
    :raises ConfigError: there is no such key; it suggests the nearest.
    """
    made = schema()
    tokens = [(m["key"] or m["inside"], m["key"] is None) for m in _TOKENS.finditer(key)]
    here, path, required = _Walk(made).to(tokens, key)
    shape = _shape(here, made)
    keys = {name: _meaning(value, made) for name, value in shape.get("properties", {}).items()}
    below = "properties" in shape and not _refers(here, _REFERENCE)  # its keys say more
    return Explanation(
        key=_written(path),
        meaning=_meaning(here, made),
        kind=_kind(here, made),
        required=required,
        default=here.get("default", shape.get("default")),
        allowed=_allowed(here, made),
        scope=_scope(path),
        example="" if below else _example(path, example),
        keys=keys,
    )


def known_keys() -> list[str]:
    """Return all keys, but not those that groups and nodes override: these have their section's."""
    return list(dict.fromkeys(_below(schema(), (), schema())))


class _Walk:
    """From the whole file to the schema of one key."""

    def __init__(self, made: Schema) -> None:
        self._made = made

    def to(self, tokens: list[tuple[str, bool]], key: str) -> tuple[Schema, list[str], bool]:
        here: Schema = self._made
        path: list[str] = []
        required = one_of_several = False
        rest = list(tokens)
        while rest:
            name, bracketed = rest[0]
            shape = _shape(here, self._made)
            if "properties" in shape:
                if name not in shape["properties"]:
                    raise ConfigError([_unknown(key)])
                here = shape["properties"][name]
                required = name in shape.get("required", ()) and not one_of_several
                one_of_several = False
                path.append(name)
                rest.pop(0)
            elif "items" in shape:
                here = self._item(shape["items"], [word for word, _ in rest])
                required = False
                one_of_several = here is not shape["items"]
                path.append("[]")
                if bracketed or name.isdigit():
                    rest.pop(0)
            elif isinstance(inner := shape.get("additionalProperties"), dict):
                if "properties" not in _shape(inner, self._made):
                    break  # free names below: what they mean, the component knows
                here, required = inner, False
                path.append("NAME")
                rest.pop(0)
            else:
                raise ConfigError([_unknown(key)])
        return here, path, required

    def _item(self, items: Schema, rest: list[str]) -> Schema:
        """Return what an item is that has one of these keys, where it may be several things."""
        for one in items.get("anyOf", ())[1:]:
            if any(word in _shape(one, self._made).get("properties", {}) for word in rest[:2]):
                return dict(one)
        return items


def _unknown(key: str) -> Problem:
    known = known_keys()
    last = key.rpartition(".")[2]
    same = [each for each in known if each.rpartition(".")[2] == last]
    hint = f"did you mean {either(same[:3])}?" if same else nearest(key, known)
    if not hint and (near := nearest(last, {each.rpartition(".")[2] for each in known})):
        word = near.removeprefix("did you mean ").removesuffix("?")
        found = [each for each in known if each.rpartition(".")[2] == word]
        hint = f"did you mean {either(found[:3])}?"
    return Problem(
        "", None, key, "is no key of the configuration", hint or "a dot as KEY shows the top level"
    )


def _shape(here: Schema, made: Schema) -> Schema:
    """Return what a schema refers to, without `null` and the word `none` among its alternatives."""
    if "$ref" in here:
        found: Schema = made["$defs"][here["$ref"].rpartition("/")[2]]
        return _shape(found, made)
    for one in here.get("anyOf", ()):
        if one.get("type") != "null" and one.get("const") != "none":
            return _shape(one, made)
    return here


def _meaning(here: Schema, made: Schema) -> str:
    text = str(here.get("description") or _shape(here, made).get("description", ""))
    return " ".join(text.split("\n\n")[0].split())


def _kind(here: Schema, made: Schema) -> str:
    if _refers(here, _REFERENCE):
        return "where a secret is found"
    if _refers(here, _ANY):
        return "any value"
    shape = _shape(here, made)
    if "properties" in shape:
        others = _alternatives(here, made)
        if any(one.get("const") == "none" for one in others):
            return "mapping, or the word none"
        return "mapping, or text" if {"type": "string"} in others else "mapping"
    if "items" in shape:
        return f"list, each item: {_kind(shape['items'], made)}"
    if isinstance(inner := shape.get("additionalProperties"), dict):
        return f"mapping from names, each value: {_kind(inner, made)}"
    if any("items" in one for one in _alternatives(here, made)):
        return f"{_kind(shape, made)}, or a list of it"
    kinds = shape.get("type", "string")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return either([_WORDS.get(kind, "true or false") for kind in kinds])


def _alternatives(here: Schema, made: Schema) -> list[Schema]:
    if "$ref" in here:
        here = made["$defs"][here["$ref"].rpartition("/")[2]]
    return list(here.get("anyOf", ()))


def _refers(here: Schema, name: str) -> bool:
    return any(
        str(one.get("$ref", "")).endswith(f"/{name}") for one in (here, *here.get("anyOf", ()))
    )


def _allowed(here: Schema, made: Schema) -> str:
    if _refers(here, _REFERENCE):
        return "one of {env: NAME}, {file: PATH} and {prompt: true}; never the secret itself"
    shape = _shape(here, made)
    inner = shape.get("items") or shape.get("additionalProperties")
    if isinstance(inner, dict) and "properties" not in _shape(inner, made):
        return _allowed(inner, made)
    if "const" in shape:
        return _word(shape["const"])
    if "enum" in shape:
        return either([_word(each) for each in shape["enum"]])
    if "minimum" in shape and "maximum" in shape:
        return f"{shape['minimum']} to {shape['maximum']}"
    return str(shape.get("$comment", ""))


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _scope(path: list[str]) -> str:
    if path and path[0] in OVERRIDDEN:
        key = _written(path)
        return f"for all nodes, in a group (groups.NAME.{key}), for one node (nodes[].{key})"
    if path[:2] == ["groups", "NAME"] and path[2:3] and path[2] in OVERRIDDEN:
        return f"for a group's nodes; for all: {_written(path[2:])}"
    if path[:2] == ["nodes", "[]"] and path[2:3] and path[2] in OVERRIDDEN:
        return f"for this node; for all: {_written(path[2:])}"
    return ""


def _written(path: list[str]) -> str:
    return ".".join(path).replace(".[]", "[]")


def _below(here: Schema, path: tuple[str, ...], made: Schema) -> Iterator[str]:
    if _refers(here, _REFERENCE):
        return
    shape = _shape(here, made)
    for name, value in shape.get("properties", {}).items():
        if path[:1] in {("groups",), ("nodes",)} and name in OVERRIDDEN:
            continue
        yield _written([*path, name])
        yield from _below(value, (*path, name), made)
    inner = shape.get("items") or shape.get("additionalProperties")
    if isinstance(inner, dict):
        part = "[]" if "items" in shape else "NAME"
        for one in inner.get("anyOf", (inner,)):
            yield from _below(one, (*path, part), made)


def _example(path: list[str], text: str) -> str:
    """Return the lines of the example that set this key, below the keys around it."""
    names = [part for part in path if part not in {"[]", "NAME"}]
    if not names:
        return ""
    lines = text.splitlines()
    found = _lines(names, lines)
    if found is None and names[0] in {"groups", "nodes"}:
        found = _lines(names[1:], lines)  # as for all nodes: the example has each key once
    return "\n".join(found or ())


def _lines(names: list[str], lines: list[str]) -> list[str] | None:
    start = next((n for n, line in enumerate(lines) if line.startswith(f"{names[0]}:")), None)
    if start is None:
        return None
    end = next((n for n in range(start + 1, len(lines)) if re.match(r"\w", lines[n])), len(lines))
    while end > start + 1 and not lines[end - 1].strip():
        end -= 1
    taken = [start]
    for name in names[1:]:
        key = re.compile(rf"(^\s*(# +)?(- )?|[{{,] ?){name}:")
        at = next((n for n in range(taken[-1], end) if key.search(lines[n])), None)
        if at is None:
            return None
        if at != taken[-1]:
            taken.append(at)
    depth = _depth(lines[taken[-1]])
    for n in range(taken[-1] + 1, end):
        if len(taken) >= _MOST_LINES or _depth(lines[n]) <= depth:
            break
        taken.append(n)
    return [lines[n] for n in taken]


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" #"))
