"""Findings about flags of dockerd's that say what fabnode writes into its daemon.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from ..node import layout, unit_files
from ..node.facts import Facts
from ..node.resources import Resource, content_of
from .finding import Finding

# Flags by another name than the directive's in daemon.json: dockerd's own option names.
_DIRECTIVES = {
    "H": "hosts",
    "D": "debug",
    "G": "group",
    "l": "log-level",
    "p": "pidfile",
    "b": "bridge",
    "g": "data-root",
    "graph": "data-root",
    "s": "storage-driver",
    "host": "hosts",
    "add-runtime": "runtimes",
    "insecure-registry": "insecure-registries",
    **{
        name: f"{name}s"
        for name in (
            *("exec-opt", "log-opt", "storage-opt", "registry-mirror", "label", "dns-opt"),
            *("default-ulimit", "authorization-plugin", "default-address-pool"),
        )
    },
}
_FLAG = re.compile(r"--([a-z][a-z0-9-]*)(?:=.*)?|-([a-zA-Z])(?:=?.*)?", re.DOTALL)
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")


def findings(facts: Facts, resources: Iterable[Resource]) -> Iterator[Finding]:
    """Yield the flags by which dockerd would refuse these resources' daemon.json."""
    ours = content_of(layout.DOCKER_CONFIG, resources)
    if ours is None:
        return
    written = json.loads(ours)
    seen: set[tuple[str, str]] = set()
    for flag, value, path in _flags(facts):
        if flag == "--config-file" and value != layout.DOCKER_CONFIG:
            yield Finding(
                "error",
                f"{path} has dockerd read {value}, and fabnode writes {layout.DOCKER_CONFIG}",
                f"take --config-file out of {path}; what that file says goes into runtime.daemon",
            )
        directive = _DIRECTIVES.get(flag.lstrip("-"), flag.lstrip("-"))
        if directive in written and (flag, path) not in seen:
            seen.add((flag, path))
            yield Finding(
                "error",
                f"{path} gives dockerd {flag}, and fabnode writes {directive} into"
                f" {layout.DOCKER_CONFIG}: docker does not start with both",
                f"take {flag} out of {path}; what it is to be goes into runtime.daemon",
            )


def _flags(facts: Facts) -> Iterator[tuple[str, str, str]]:
    """Yield the flags of dockerd's command line, with values, and the files they come from."""
    files, read = facts.config_files, facts.unit(layout.DOCKER).drop_ins
    line, source = "", ""
    variables: dict[str, tuple[str, str]] = {}
    named: list[str] = []
    unit = unit_files.unit_file(layout.DOCKER, files)
    for path in (*([unit] if unit else []), *unit_files.drop_ins(layout.DOCKER, files, read)):
        for name, value in unit_files.settings(files[path]):
            match name:
                case "ExecStart":
                    line, source = value, path
                case "Environment":
                    variables |= {
                        key: (text, path) for key, text in unit_files.variables(value).items()
                    }
                case "EnvironmentFile":
                    named = [*named, value.removeprefix("-")] if value else []
    for path in named:  # they win over Environment, and later ones over earlier
        for each in files.get(path, ()):
            variables |= {key: (text, path) for key, text in unit_files.variables(each).items()}
    words = [(word, source) for word in unit_files.words(line)[1:]]
    whole: list[tuple[str, str]] = []
    for word, path in words:
        named_here = _VARIABLE.findall(word)
        whole += [(word, path)] if not named_here else []
        for variable in named_here:
            text, origin = variables.get(variable, ("", ""))
            whole += [(inner, origin) for inner in unit_files.words(text)]
    for at, (word, path) in enumerate(whole):
        if found := _FLAG.fullmatch(word):
            after = whole[at + 1][0] if at + 1 < len(whole) else ""
            value = word.partition("=")[2] or after
            yield (f"--{found[1]}" if found[1] else f"-{found[2]}"), value, path
