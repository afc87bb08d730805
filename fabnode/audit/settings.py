"""Effective settings of kubelet and kube-proxy: flags, else configuration file, else defaults."""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import yaml

from ..node import layout
from ..node.conventions import DOCKER_SERVICE
from ..util import program
from ..util.yaml_io import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..node.examination import Evidence

# Flags that take no word after them: `--name` alone means true.
_SWITCHES = {
    "alsologtostderr",
    "anonymous-auth",
    "authentication-token-webhook",
    "fail-swap-on",
    "logtostderr",
    "masquerade-all",
    "register-node",
    "rotate-certificates",
    "rotate-server-certificates",
    "tls",
    "tlsverify",
}
_TRUE = {"1", "t", "true"}
# Program → the flag that names its configuration file, and where that is if it is not given.
_FILES = {"dockerd": ("config-file", layout.DOCKER_CONFIG)}
# What a deployment writes, and has kubelets make.
_DEPLOYED = {
    "kubelet": {
        layout.CA,
        layout.KUBELET_CONFIG,
        layout.KUBELET_KUBECONFIG,
        layout.BOOTSTRAP_KUBECONFIG,
    },
    "kube-proxy": {layout.CA, layout.PROXY_CONFIG, layout.PROXY_KUBECONFIG, layout.PROXY_PEM},
    "dockerd": {layout.DOCKER_CONFIG},
}
_KUBELETS = {"kubelet-client-current.pem", "kubelet-server-current.pem"}
_MOST = 2**63  # what Go reads as a number


@dataclass(frozen=True, slots=True)
class Effective:
    """
    A setting as it is in force.

    :param value: None where it is unknown.
    :param source: where it comes from. :param shown: setting, value and source, for a report.
    """

    value: Any
    source: Literal["flag", "file", "default", "unknown"]
    shown: str

    @property
    def on(self) -> bool:
        """Whether it is true, in any spelling that Go takes."""
        return self.value is True or str(self.value).lower() in _TRUE


def values(args: Iterable[str], *names: str) -> list[str]:
    """Return all values of a flag that may be given again, under any of its names."""
    words = list(args)[1:]
    found = []
    for at, word in enumerate(words):
        for name in names:
            dashed = f"--{name}" if len(name) > 1 else f"-{name}"
            if word == dashed:
                found.append(words[at + 1] if at + 1 < len(words) else "")
            elif word.startswith(f"{dashed}="):
                found.append(word.removeprefix(f"{dashed}="))
            elif len(name) == 1 and word.startswith(dashed):
                found.append(word.removeprefix(dashed))
    return found


def flags(args: Iterable[str]) -> dict[str, str]:
    """Return the flags of a command line, the last of each; names with dashes."""
    found: dict[str, str] = {}
    words = list(args)[1:]
    for at, word in enumerate(words):
        if not word.startswith("-") or word in {"-", "--"}:
            continue
        name, equals, value = word.lstrip("-").partition("=")
        name = name.replace("_", "-")
        if not equals:
            after = words[at + 1] if at + 1 < len(words) else ""
            value = "true" if name in _SWITCHES or after.startswith("-") else after
        found[name] = value
    return found


class Settings:
    """
    The settings of one program as it was seen.

    :param has_file: it is given a configuration file, whatever became of reading that.
    """

    def __init__(self, evidence: Evidence, program: str) -> None:
        seen = evidence.programs.get(program)
        self.program = program
        self.known = seen is not None
        self.args = seen.args if seen else ()
        self.flags = flags(self.args)
        self._cwd = seen.cwd if seen else ""
        flag, usual = _FILES.get(program, ("config", ""))
        self.path = _resolved(
            self.flags.get(flag, usual if usual in evidence.texts else ""), self._cwd
        )
        self.has_file = bool(self.path)
        text = evidence.texts.get(self.path)
        self.hidden_by_others = text is not None and text.content is None and not text.controlled
        content = text.content if text else None
        reading = json.loads if program in _FILES else parse
        self.document = None if content is None else _document(content, reading)
        # Drop-in files have the last word, and are not read.
        self.readable = not self.has_file or (
            self.document is not None and "config-dir" not in self.flags
        )

    def get(self, flag: str, keys: tuple[str, ...], *, default: Any) -> Effective:
        """Return a setting; `default` is what holds where nothing sets it."""
        if flag in self.flags:
            return Effective(self.flags[flag], "flag", f"--{flag}={self.flags[flag]}")
        if not self.readable:
            return Effective(None, "unknown", f"{self.path} could not be read")
        value = _at(self.document or {}, keys)
        if isinstance(value, dict | list) or (isinstance(value, int) and abs(value) > _MOST):
            return Effective(None, "unknown", f"{'.'.join(keys)} in {self.path} makes no sense")
        if value is not None:
            return Effective(value, "file", f"{'.'.join(keys)}: {_yaml(value)} in {self.path}")
        return Effective(default, "default", f"{flag} is not set; its default is {_yaml(default)}")

    def file(self, flag: str, keys: tuple[str, ...] = (), *, default: str = "") -> str:
        """
        Return the path of a file that a setting names, as the program resolves it.

        Relative ones are relative to its working directory; in a kubelet's configuration, to that
        file's folder (kubernetes `pkg/kubelet/kubeletconfig/configfiles`). kube-proxy and docker
        open what theirs name as it is.
        """
        found = self.get(flag, keys, default=default)
        beside = found.source == "file" and self.program == "kubelet"
        folder = posixpath.dirname(self.path) if beside else self._cwd
        return _resolved(str(found.value or ""), folder)


def unit_of(program: str) -> str:
    """Return the unit that runs a program."""
    return DOCKER_SERVICE if program == "dockerd" else f"{program}.service"


def not_settable(evidence: Evidence, settings: Settings, path: str = "") -> str:
    """
    Return why harden can't change the program's settings; empty where it can.

    :param path: of the file that is wrong, where it is not a setting. Others' files that settings
        name no deployment writes.
    """
    if unit_of(settings.program) not in evidence.managed:
        return ""
    if path and not _written(settings.program, path):
        return ""
    unless = "" if path else ", unless your configuration sets it so"
    return f"fabnode manages it: `{program.task('deploy-nodes')}` corrects it{unless}"


def _written(name: str, path: str) -> bool:
    """Return whether a deployment rewrites that file of a program's, or has it written."""
    made = posixpath.basename(path) in _KUBELETS and name == "kubelet"
    return made or path in _DEPLOYED[name]


def _resolved(path: str, folder: str) -> str:
    """Return a path as the host reports it: absolute where its folder is known, without `.`."""
    if not path or not (path.startswith("/") or folder):
        return path
    whole = path if path.startswith("/") else f"{folder}/{path}"
    return "/" + "/".join(part for part in whole.split("/") if part not in {"", "."})


def _document(content: bytes, reading: Callable[[bytes], Any]) -> Mapping[str, Any] | None:
    try:
        document = reading(content)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _at(document: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
