"""`inv config.…`: the configuration file, the site's own steps, and what a deployment lacks."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from ...artifacts import programs
from ...config import loader
from ...util import data, program
from ...util.families import in_url
from ...util.words import counted
from .. import app, exits

if TYPE_CHECKING:
    from ...artifacts.image_supply import Supply
    from ...config.configuration import Config

_OF_SSH = ("password", "sudo_password")


def print_example() -> None:
    """Print the example of a configuration, as it is beside the code or in the wheel."""
    app.print_text((data.ROOT / "config/example.yml").read_text("utf-8"), end="")


def print_explanation(key: str, *, as_json: bool = False) -> None:
    """
    Print what a key of the configuration means; of a dot the keys of the top level.

    :raises ConfigError: there is no such key.
    """
    from ...config import explain

    example = (data.ROOT / "config/example.yml").read_text("utf-8")
    found = explain.explain(key, example)
    if as_json:
        app.print_json(asdict(found))
        return
    # What is required has no default, and no section has one by itself.
    default = "" if found.keys or found.required else f"default: {_shown(found.default)}"
    rows = [
        f"{found.key}: {found.meaning}" if found.key else found.meaning,
        f"type: {found.kind}",
        "required" if found.required else default,
        f"allowed: {found.allowed}" if found.allowed else "",
        f"set: {found.scope}" if found.scope else "",
    ]
    app.print_text("\n  ".join(filter(None, rows)))
    if found.keys:
        app.print_text("")
        app.print_table(("KEY", "MEANING"), list(found.keys.items()))
    if found.example:
        example = program.task("config.example")
        app.print_text(f"\nexample, of what `{example}` prints:\n{found.example}")


def print_schema() -> None:
    """Print the configuration's JSON schema."""
    from ...config.schema import schema

    app.print_json(schema())


def check(config: str, *, as_json: bool = False) -> None:
    """
    Print the nodes of a valid configuration; exit 2 with all problems of any other.

    A valid one may name artifacts, and variables with secrets, that are not on this machine: these
    are printed as missing, and are no problem, for much can be done without them. So are programs
    of another release. Images that no archive brings although there are some, or brings in another
    version than the pod network's, are a warning.
    """
    loaded = app.configuration(config)
    if loaded.extensions.steps or loaded.extensions.hooks:
        # All steps, and so most of fabnode, to place a few: not where there are none.
        from ...deploy import site_steps

        site_steps.check_desired(loaded, site_steps.steps_of(loaded))
    missing = [*_missing(loaded), *_unset(loaded)]
    images = _supply(loaded)
    if as_json:
        found = {
            "warnings": list(images.otherwise) if images else [],
            "pulled": list(images.pulled) if images else None,
        }
        app.print_json({**_document(loaded, missing), **found})
        return
    for node in loaded.nodes:
        groups = f" ({', '.join(node.groups)})" if node.groups else ""
        app.print_text(
            f"{node.name:20} {node.ssh.user}@{in_url(node.address)}:{node.ssh.port}{groups}"
        )
    version = loaded.cluster.version
    app.print_text(
        f"{loaded.source}: {counted(len(loaded.nodes), 'node')}, Kubernetes {version}: valid"
    )
    for text in images.otherwise if images else ():
        app.print_text(f"warning: {text}")
    if images is None:
        app.print_text("artifacts.images names no archive: hosts pull all images from registries")
    elif images.pulled:
        app.print_text(
            "warning: no archive of artifacts.images has these, which hosts have to pull:"
            f" {', '.join(images.pulled)}"
        )
    if missing:
        commands = f"{program.task('plan')}` and `{program.task('deploy-nodes')}"
        app.print_text(f"\nnot on this machine yet, but needed by `{commands}`:")
        app.print_text("\n".join(missing))
        fetch = program.task("binaries.fetch")
        app.print_text(
            f"next: `{fetch}` gets binaries and CNI plugins; all else has to be put there"
        )


def show_node(config: str, name: str, *, as_json: bool = False) -> None:
    """
    Print all that holds for a node, each value with where it comes from; no secrets.

    Nothing that the configuration names has to be there, neither the CA nor keys.
    """
    from ...config import origins
    from ...journal.redact import Redactor

    if not name:
        raise Exit("--node is missing: whose settings", exits.BAD_INPUT)
    loaded = app.configuration(config, access=False)
    node = loaded.node(name)
    found = origins.settings_of(loaded, loader.read_spread(loaded.source, app.outputs()), node)
    redactor = Redactor()  # of what resembles a token or a key, wherever it stands
    if as_json:
        settings = [
            {"key": each.key, "value": redactor.data(each.value), "from": asdict(each.origin)}
            for each in found
        ]
        document = {"file": str(loaded.source), "node": node.name, "settings": settings}
        app.print_json(document)
        return
    lines = [(each.key, redactor.text(_shown(each.value)), str(each.origin)) for each in found]
    app.print_table(("SETTING", "VALUE", "FROM"), lines)


def _shown(value: object) -> str:
    """Return a value as in YAML, where `-` stands for one that is left out."""
    if value is None:
        return "-"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _supply(config: Config) -> Supply | None:
    """Return what the archives of images lack; None: there are none, and so all is pulled."""
    if not config.artifacts.images:
        return None
    # The manifest is read for it, and what reads one is loaded.
    from ...artifacts import image_supply

    return image_supply.supply(config)


def _unset(config: Config) -> list[str]:
    """Return a line for each secret that is to be in a variable of the environment, and is not."""
    nodes = ((node.name, node.ssh) for node in config.nodes)
    references = {
        "bootstrap.token": config.bootstrap.token,
        **{f"{n}: ssh.{key}": getattr(ssh, key) for n, ssh in nodes for key in _OF_SSH},
        **{
            f"images.registries.{name}.password": registry.password
            for name, registry in config.images.registries.items()
        },
    }
    return [
        f"{where}: the environment variable {reference.env} is not set"
        for where, reference in references.items()
        if reference and reference.env and not os.environ.get(reference.env)
    ]


def _document(loaded: Config, missing: list[str]) -> dict[str, Any]:
    nodes = [
        {
            "name": node.name,
            "address": node.address,
            "user": node.ssh.user,
            "port": node.ssh.port,
            "groups": list(node.groups),
        }
        for node in loaded.nodes
    ]
    return {
        "file": str(loaded.source),
        "kubernetes": str(loaded.cluster.version),
        "nodes": nodes,
        "missing": missing,
    }


def _missing(loaded: Config) -> list[str]:
    """Return a line for each artifact that a deployment needs and that is not here."""
    if problems := loader.missing_artifacts(loaded):
        return [str(problem) for problem in problems]
    folder = loaded.artifacts.binaries
    absent = [f"artifacts.binaries: {folder} has no {name}" for name in programs.absent(loaded)]
    return [*absent, *programs.of_another_release(loaded)]
