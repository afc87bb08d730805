"""
Nodes from elsewhere: entries of `nodes` with `from` become an entry for each host of the list.

These entries go the way of all others from here on. Their lines are the list's own, and so a
problem, and where a value comes from, name the file that somebody has to open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ..util.merging import merge_deep
from ..util.problems import ConfigError, InvalidValueError, Problem, either, nearest
from . import listing
from .list_content import CommandError
from .list_entries import Entry, NodeKeys, entry
from .list_records import NoHostsError, chosen, field_of, keys_of, records, some
from .list_settings import FORMATS
from .node_parts import NodePart, is_list, parts_of, with_parts
from .overrides import merge_section
from .pydantic_errors import explain
from .schema import OVERRIDDEN, NodeList, schema
from .yaml_document import Place, UnreadableError, content_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..util.problems import KeyPath
    from .list_content import Outputs
    from .list_records import Record
    from .list_settings import ListSource
    from .listing import Listing
    from .yaml_document import Document

MAX_HOSTS = 5000
"""Hosts of one list: what Kubernetes is tested with."""

_FORMATS = either(sorted(set(FORMATS.values())))
_OF_EACH = ("name", "address", "ip")


def expand(document: Document, outputs: Outputs) -> Document:
    """
    Return the document with the hosts of each list as entries of one node each.

    :raises ConfigError: a list can't be had or read, or names no hosts.
    """
    parts = parts_of(document)
    known = NodeKeys(schema())
    made: list[NodePart] = []
    problems: list[Problem] = []
    for index, part in enumerate(parts):
        try:
            if is_list(part.value):
                made += _List(document, index, part, known).nodes(outputs)
            else:
                made.append(part)
        except ConfigError as error:
            problems += error.problems
    if problems:
        # Which nodes there are is not known: all that follows would be about others.
        raise ConfigError([*document.problems, *problems])
    return with_parts(document, made)


@dataclass(frozen=True, slots=True)
class _List:
    """One entry with `from`."""

    document: Document
    index: int
    part: NodePart
    known: NodeKeys

    def nodes(self, outputs: Outputs) -> list[NodePart]:
        """Return a part for each host. Raises ConfigError."""
        source = self._settings().source
        self._check_keys(source)
        found = self._listing(source, outputs)
        try:
            hosts = records(found, source.path or "")
            if len(hosts) > MAX_HOSTS:
                raise NoHostsError(f"holds more than {MAX_HOSTS} hosts", "take some by `only`")
            hosts = chosen(found, hosts, source.only)
        except NoHostsError as error:
            problem = Problem(found.name, found.line(error.path), "", error.message, error.advice)
            raise ConfigError([problem]) from None
        if source.fields_ is None:
            self._refuse_unknown(found, hosts)
        else:
            self._refuse_absent(found, hosts, source.fields_)
        return self._parts(found, hosts, source)

    def _settings(self) -> NodeList:
        base = Path(self.document.name).parent
        try:
            return NodeList.model_validate(self.part.value, context={"base": base})
        except ValidationError as error:
            found = []
            for one in error.errors(include_url=False):
                if violation := explain(one, NodeList, self.part.texts):
                    path, message, hint = violation
                    if path and path[0] in _OF_EACH:
                        message, hint = "can't stand beside `from`", "the list has it for each host"
                    found.append(self._problem(path, message, hint))
            raise ConfigError(found) from None

    def _problem(self, path: KeyPath, message: str, hint: str = "") -> Problem:
        return self.document.problem(("nodes", self.index, *path), message, hint)

    def _check_keys(self, source: ListSource) -> None:
        """Refuse keys of `fields` that no node has."""
        unknown = [key for key in source.fields_ or () if self.known.find(key) is None]
        names = self.known.names()
        if unknown:
            raise ConfigError(
                self._problem(
                    ("from", "fields", key),
                    "is no key of a node",
                    nearest(key, names) or "write it as address: mgmt_ip, the node's key first",
                )
                for key in unknown
            )

    def _listing(self, source: ListSource, outputs: Outputs) -> Listing:
        kind = source.format_found()
        if kind is None:
            hint = f"name it by `format`: {_FORMATS}"
            message = f"{source.file}: the end of its name says no format"
            raise ConfigError([self._problem(("from",), message, hint)])
        try:
            if source.file is not None:
                return listing.parse(
                    content_of(source.file, "a list of hosts"), str(source.file), kind
                )
            command = source.command or ()
            folder = Path(self.document.name).absolute().parent
            content = outputs.of(command, folder, source.timeout)
        except UnreadableError as error:
            message = f"{source.file}: {error.message}"
            raise ConfigError([self._problem(("from", "file"), message)]) from None
        except CommandError as error:
            message = f"{command[0]} {error.message}"
            problem = self._problem(("from", "command"), message, error.advice)
            raise ConfigError([problem]) from None
        # Without its arguments, which may hold a token.
        line = self.document.line(("nodes", self.index, "from", "command"))
        name = f"output of {command[0]} ({self.document.name}:{line})"
        try:
            return listing.parse(content, name, kind)
        except ConfigError as error:
            if source.format:
                raise
            hint = f"where it prints something else, `format` says so: {_FORMATS}"
            problems = (replace(each, hint=each.hint or hint) for each in error.problems)
            raise ConfigError(problems) from None

    def _refuse_unknown(self, found: Listing, hosts: Sequence[Record]) -> None:
        """Refuse keys that no node has, once for all hosts: the list has words of its own."""
        theirs = found.columns or keys_of(hosts)
        unknown = [key for key in theirs if self.known.find(key) is None]
        if not unknown:
            return
        first = next(
            (h.path for h in hosts if isinstance(h.value, dict) and unknown[0] in h.value), ()
        )
        line = found.line(() if found.table else (*first, unknown[0]))
        only = nearest(unknown[0], self.known.names()) if len(unknown) == 1 else ""
        hint = (
            "`fields` says which of its keys to take, and all others are passed over:"
            f" fields: {{name: {unknown[0]}, address: …}}"
        )
        message = f"has keys that no node has: {some(unknown)}"
        raise ConfigError([Problem(found.name, line, "", message, only or hint)])

    def _refuse_absent(
        self, found: Listing, hosts: Sequence[Record], fields: dict[str, str]
    ) -> None:
        """Refuse names that none of the hosts has: they are misspelled."""
        if not hosts or any(isinstance(host.value, str) for host in hosts):
            return
        theirs = found.columns or keys_of(hosts)
        absent = {
            key: name
            for key, name in fields.items()
            if name not in theirs and not any(field_of(host, name) for host in hosts)
        }
        if absent:
            raise ConfigError(
                self._problem(
                    ("from", "fields", key),
                    f"no host in {found.name} has '{name}'",
                    nearest(name, theirs) or f"it has: {some(theirs)}",
                )
                for key, name in absent.items()
            )

    def _parts(self, found: Listing, hosts: Sequence[Record], source: ListSource) -> list[NodePart]:
        made: list[NodePart] = []
        problems: list[Problem] = []
        for host in hosts:
            try:
                made.append(self._part(found, entry(host, found, source.fields_, self.known)))
            except InvalidValueError as error:
                line = found.line(host.path)
                problems.append(Problem(found.name, line, "", error.message, error.advice))
        if problems:
            raise ConfigError(problems)
        return made

    def _part(self, found: Listing, own: Entry) -> NodePart:
        """Return a host's entry over what stands beside `from`."""
        beside = {k: v for k, v in self._beside().items() if k != "from"}
        value = _merged(beside, own.value)
        kept = {
            path: line
            for path, line in self.part.lines.items()
            if path and path[0] in beside and not _replaced(path, own.value)
        }
        places = {path: Place(found.name, _key(own, path)) for path in (*own.lines, *own.keys)}
        texts = {path: text for path, text in self.part.texts.items() if path in kept}
        return NodePart(value, kept | own.lines, texts | own.texts, places)

    def _beside(self) -> dict[str, Any]:
        return self.part.value if isinstance(self.part.value, dict) else {}


def _merged(beside: dict[str, Any], own: dict[str, object]) -> dict[str, object]:
    result: dict[str, object] = dict(beside)
    for key, value in own.items():
        if key in OVERRIDDEN and key in beside and isinstance(value, dict):
            result[key] = merge_section(OVERRIDDEN[key], [beside[key], value])
        else:
            result[key] = merge_deep(beside.get(key), value)
    return result


def _replaced(path: KeyPath, own: dict[str, object]) -> bool:
    """Say whether the list's own entry has a value in the place of this one, or of one around."""
    value: object = own
    for key in path:
        if not isinstance(value, dict):
            return True
        if key not in value:
            return False
        value = value[key]
    return not isinstance(value, dict)


def _key(own: Entry, path: KeyPath) -> str:
    while path and path not in own.keys:
        path = path[:-1]
    return own.keys.get(path, "")
