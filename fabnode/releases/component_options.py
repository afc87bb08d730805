"""Settings of kubelet and kube-proxy as one release takes them: configuration fields or flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .version import MinorRange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .matrix import Component, Setting

Value = Any  # what YAML holds


@dataclass(frozen=True, slots=True)
class Spelled:
    """A value that the field and the flag of a setting spell differently."""

    field: Value
    flag: str


@dataclass(frozen=True, slots=True)
class ComponentOptions:
    """
    Configuration fields and flags for one release.

    :param fields: of the configuration file, nested; None where this release reads no file.
    :param flags: in order, as `--name=value`.
    """

    fields: dict[str, Value] | None
    flags: tuple[str, ...]


def component_options(
    component: Component, minor: int, *, flags: Mapping[str, Value], settings: Mapping[str, Value]
) -> ComponentOptions:
    """
    Return the options that this release understands, without those it warns about.

    Left out are values of None, and what the release does not know or has as its default.

    :param flags: values without a field, by flag.
    :param settings: values by dotted field.
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
            _put(fields, path, value.field if isinstance(value, Spelled) else value)
        elif setting.flag and _has_flag(setting, minor):
            line.append(_flag(setting.flag, value))
    return ComponentOptions(fields if reads_file else None, tuple(line))


def _has_flag(setting: Setting, minor: int) -> bool:
    return minor in MinorRange(setting.flag_since, setting.flag_until)


def _put(fields: dict[str, Value], path: str, value: Value) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        fields = fields.setdefault(parent, {})
    fields[name] = value


def _flag(name: str, value: Value) -> str:
    return f"{name}={_text(value)}"


def _text(value: Value) -> str:
    if isinstance(value, Spelled):
        return value.flag
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ",".join(f"{key}={_text(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    return str(value)
