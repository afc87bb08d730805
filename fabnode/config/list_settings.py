"""Where a list of hosts is kept that the configuration does not hold itself, and how it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    WithJsonSchema,
    model_validator,
)

from ..util.problems import InvalidValueError
from . import fields
from .sections import Section

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

Format = Literal["csv", "json", "yaml", "text"]

FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".yml": "yaml",
    ".yaml": "yaml",
    ".txt": "text",
}
"""By the end of a file's name."""


class _Fields(BeforeValidator):
    """Reads `[name, address]` as `{name: name, address: address}`."""

    def __init__(self) -> None:
        super().__init__(
            lambda value: (
                {key: key for key in value}
                if isinstance(value, list) and all(isinstance(key, str) for key in value)
                else value
            )
        )

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [handler(core), {"type": "array", "items": {"type": "string"}}]}


def _value(value: object) -> object:
    if not isinstance(value, str | bool | int):
        raise InvalidValueError("must be text, a number, true or false, or a list of these")
    return value


_SCALAR = {"type": ["string", "integer", "boolean"]}
_Values = Annotated[
    tuple[Annotated[JsonValue, AfterValidator(_value)], ...],
    Field(min_length=1),
    BeforeValidator(lambda value: value if isinstance(value, list) else [value]),
    WithJsonSchema({"anyOf": [{"type": "array", "items": _SCALAR, "minItems": 1}, _SCALAR]}),
]


class ListSource(Section):
    """A file, or a command that prints one, and how hosts are found in it; docs/hosts.md."""

    file: fields.LocalPath | None = Field(
        None, description="file with the list; a text in place of this mapping says the same"
    )
    command: tuple[fields.Text, ...] | None = Field(
        None,
        min_length=1,
        description="program and arguments that print the list; no shell reads them, and they run"
        " in the configuration's folder",
    )
    format: Format | None = Field(
        None, description="default: by the end of the file's name; json for a command"
    )
    path: fields.Text | None = Field(
        None, description="where in a JSON or YAML document the hosts are: results, nodes.value"
    )
    fields_: Annotated[dict[fields.Text, fields.Text], _Fields()] | None = Field(
        None,
        alias="fields",
        description="a node's key: what the list calls it, such as address: mgmt_ip; all else in"
        " the list is passed over",
    )
    only: dict[fields.Text, _Values] = Field(
        {}, description="hosts to take: what the list calls a field: its value, or a list of them"
    )
    timeout: fields.Seconds = Field(60, description="seconds after which a command is ended")

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if isinstance(value, str):
            return {"file": value}
        if value is None or (isinstance(value, dict) and ("file" in value) == ("command" in value)):
            raise InvalidValueError(
                "needs one of file and command", "write it as hosts.csv or {command: [PROGRAM, …]}"
            )
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [handler(core), {"type": "string"}]}

    def format_found(self) -> Format | None:
        """Return the format, as given or as the file's name says; None: neither says it."""
        if self.format or self.file is None:
            return self.format or "json"
        return FORMATS.get(self.file.suffix.lower())
