"""Settings in the words of a release: fields of a file where it reads one, flags where not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .version import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .matrix import Component, Setting

Value = Any  # what YAML holds


@dataclass(frozen=True, slots=True)
class Words:
    """
    What is written for one release.

    :param fields: the configuration file's, nested; None where this release reads none.
    :param flags: in order, as `--name=value`.
    """

    fields: dict[str, Value] | None
    flags: tuple[str, ...]


def words(
    component: Component, minor: int, *, flags: Mapping[str, Value], settings: Mapping[str, Value]
) -> Words:
    """
    Say what is wanted so that this release understands it, and warns about nothing.

    :param flags: what has no field, by flag. :param settings: by field, dotted. Nothing is said of
        a None, nor of what the release does not know, or has right by itself.
    """
    reads_file = minor in component.config_file
    fields: dict[str, Value] = {}
    line = [
        _flag(name, value)
        for name, value in flags.items()
        if value is not None and component.flags[name].passed(minor)
    ]
    for path, value in settings.items():
        setting = component.settings[path]
        if value is None:
            continue
        if reads_file and minor in setting:
            _put(fields, path, value)
        elif setting.flag and _has_flag(setting, minor):
            line.append(_flag(setting.flag, value))
    return Words(fields if reads_file else None, tuple(line))


def _has_flag(setting: Setting, minor: int) -> bool:
    return minor in Span(setting.flag_since, setting.flag_until)


def _put(fields: dict[str, Value], path: str, value: Value) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        fields = fields.setdefault(parent, {})
    fields[name] = value


def _flag(name: str, value: Value) -> str:
    return f"{name}={_text(value)}"


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ",".join(f"{key}={_text(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    return str(value)
