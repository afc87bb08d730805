"""Messages for pydantic's validation errors: key path, what is wrong, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel

from ..util.problems import InvalidValueError, KeyPath, either, nearest, plain, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

ALTERNATIVE = "alternative: "
"""Begin of a tag of a union, which pydantic puts into the path of an error."""

_SECRET = ("password", "sudo_password", "token")

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "path_type": "a path",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
}

_NODE = "{name: node-1, address: 192.168.1.42}"
_LIST_OF_NODES = (
    f"write a list of them: `- {_NODE}`, or `- {{from: hosts.csv}}` for those of a file"
)
_NO_PROXY = "for nodes without kube-proxy write `kube_proxy: none`"
_NO_CALICO = "for a cluster that brings its own network write `calico: none`"
# By a path's last key, `[]` for an item of it: how what was meant is written.
_EXAMPLES: Mapping[str, str] = {
    "nodes": _LIST_OF_NODES,
    "nodes[]": f"write it as {_NODE}",
    "apiserver": "write one URL, or a list of them",
    "command": "write it as a list: [PROGRAM, ARGUMENT]",
    "calico": _NO_CALICO,
    "kube_proxy": _NO_PROXY,
    "taints": 'write them as ["dedicated=batch:NoSchedule"]',
    "taints[]": 'write it as text: "dedicated=batch:NoSchedule"',
    "startup_taints": 'write them as ["node.cilium.io/agent-not-ready:NoExecute"]',
    "startup_taints[]": 'write it as text: "node.cilium.io/agent-not-ready:NoExecute"',
    "labels": "write them as {disk: ssd, zone: b}",
}
# Keys of other tools: first and last key of the path → what is meant here.
_ELSEWHERE: Mapping[tuple[object, ...], str] = {
    ("groups", "nodes"): "name the group in each node's `groups`",
    ("groups", "hosts"): "name the group in each node's `groups`",
    ("ssh", "private_key_file"): "did you mean keys?",
    ("ssh", "become"): "a user other than root uses sudo; its password is sudo_password",
    (
        "all",
        "all",
    ): "this is an inventory of Ansible's; the task config.import makes a configuration of it",
    **{(name, name): _NO_CALICO for name in ("flannel", "cilium", "cni", "network")},
}


def explain(
    error: ErrorDetails, model: type[BaseModel], texts: Mapping[KeyPath, str]
) -> tuple[KeyPath, str, str] | None:
    """
    Return where in the file an error of `model` is, what is wrong, and what to do.

    :param texts: how numbers, booleans and null were written.
    :returns: None for an error that only follows from others.
    """
    path: KeyPath = tuple(p for p in error["loc"] if not str(p).startswith(ALTERNATIVE))
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "missing":
        return path, "is missing", ""
    if kind == "extra_forbidden":
        known = _ELSEWHERE.get((*path[:1], path[-1]))
        keys = _keys(model, path[:-1])
        listed = f"it has {either(sorted(keys))}" if keys and path[-2:-1] == ("from",) else ""
        return path, "unknown key", known or nearest(str(path[-1]), keys) or listed
    if path[-1:] == ("[key]",):  # pydantic's mark for what is wrong with a key, not with its value
        path = path[:-1]
    if kind == "too_short":
        # Pydantic also reports it for a list whose items are all invalid.
        return None if value else (path, "is empty", "at least one entry is needed")
    message, hint = _message(kind, context, value, error["msg"])
    if any(part in _SECRET for part in path):
        return path, message, hint
    written = plain(texts.get(path, "")) or shown(value)
    if kind == "string_type" and isinstance(value, bool | int | float):
        hint = f'put it in quotes: "{written}"'
    elif kind in _EXPECTED:
        last = path[-1] if isinstance(path[-1], str) else f"{path[-2]}[]"
        hint = hint or _EXAMPLES.get(last, "")
    return path, f"{message}, got {written}", hint


def _message(kind: str, context: dict[str, Any], value: object, message: str) -> tuple[str, str]:
    cause = context.get("error")
    if isinstance(cause, InvalidValueError):
        return cause.message, cause.advice
    if kind == "literal_error":
        words = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        hint = nearest(value, words) if isinstance(value, str) else ""
        return f"must be {either([w.lower() if w == 'True' else w for w in words])}", hint
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind].format(**context)}", ""
    return message, ""


def _keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Return the keys known at this path."""
    here: type[BaseModel] | None = model
    by_name = False
    for part in path:
        if by_name or isinstance(part, int) or here is None:
            by_name = False  # a list's item or a mapping's entry: of the kind found before
            continue
        info = _by_key(here).get(part)
        if info is None:
            return []
        here = _model_in(info.annotation, *info.metadata)
        by_name = get_origin(info.annotation) is dict
    return list(_by_key(here)) if here else []


def _by_key(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return fields by the keys that files have for them, some of which are no names in Python."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _model_in(*kinds: object) -> type[BaseModel] | None:
    """Find the model in an annotation such as `tuple[Model, ...]` or `Model | None`."""
    found: type[BaseModel] | None = None
    for kind in kinds:
        if made := getattr(kind, "overrides", None):
            return made()  # type: ignore[no-any-return]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found = found or kind
        elif inner := _model_in(*get_args(kind)) if get_args(kind) else None:
            found = found or inner
    return found
