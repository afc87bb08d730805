"""`inv config.import`: a first configuration, of what another tool was given."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from ...config import starter
from ...config.imports import outcome, recognise
from ...config.imports.inventory_files import MAX_BYTES
from ...deploy import discovery
from ...util import program
from ...util.errors import InputError
from ...util.problems import either, nearest
from ...util.typed_paths import typed_path
from ...util.words import counted
from .. import app, exits
from . import first_configuration, first_hosts

if TYPE_CHECKING:
    from pathlib import Path

    from ...config.host_list import Host
    from ...config.imports.facts import Facts, Open, Taken, Without
    from ...config.imports.outcome import Access, Report

_MOST_NAMED = 8  # settings without counterpart that are named for one reason


def run(
    source: str,
    *,
    tool: str,
    groups: str,
    kubeconfig: str,
    hosts: str,
    hosts_file: str,
    artifacts: str,
    out: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """
    Write a configuration of what another tool's files say, and print what became of all of it.

    :param source: a file or folder; `-` for standard input. :param tool: empty: by its content.
    :param groups: of Ansible's workers, with commas between.
    :param artifacts: folder of programs, images and manifest; empty: one beside the file, if any.
    :param out: the file to write, which must not exist; empty: where all commands look for it.
    :param dry_run: write nothing, and print the file as well.
    """
    target = app.configuration_path(out)
    if not dry_run:
        first_configuration.refuse_existing(target)
    facts = _read(source, tool, [name for name in groups.split(",") if name.strip()])
    named = first_hosts.named_hosts(hosts, hosts_file)
    parts = first_configuration.offered_artifacts(artifacts, target)
    access, ca_pem = _access(kubeconfig, facts, target.parent)
    found = outcome.of(facts, access, named, looked_up=first_hosts.with_addresses)
    text = starter.write(
        first_configuration.with_artifacts(found.findings, parts, target),
        found.hosts,
        command=program.task("config.import"),
        example=program.task("config.example"),
    )
    written = [] if dry_run else first_configuration.write_new(target, text, ca_pem)
    if as_json:
        document = _document(facts, found.report, found.hosts, written)
        app.print_json({**document, "configuration": text})
        return
    if dry_run:
        app.print_text(text)
    for line in _lines(facts, found.report):
        app.print_text(line)
    if not dry_run:
        first_configuration.print_artifacts(parts)
        app.print_text("\n".join(f"wrote {path}" for path in written))
        app.print_text(first_configuration.next_commands(target, out))


def _read(source: str, tool: str, groups: Sequence[str]) -> Facts:
    if not source:
        raise Exit("name what is to be read: a file, a folder or -", exits.BAD_INPUT)
    if tool and tool not in recognise.TOOLS:
        hint = nearest(tool, recognise.TOOLS) or f"it is one of {either(recognise.TOOLS)}"
        raise InputError(f"--tool {tool}: there is no such tool here", hint)
    names = [name.strip() for name in groups]
    if source == "-":
        return recognise.read_text(sys.stdin.buffer.read(MAX_BYTES + 1), tool, names)
    return recognise.read(typed_path(source), tool, names)


def _access(kubeconfig: str, facts: Facts, folder: Path) -> tuple[Access, str]:
    """Return the CA and kubeconfig, and what is to be written as the CA's file."""
    if kubeconfig:
        ca, apiserver, ca_pem, path = discovery.access(
            typed_path(kubeconfig, "--kubeconfig"), folder
        )
        return outcome.Access(ca, path, apiserver), ca_pem
    hint = "put it beside this file and name it here, or give --kubeconfig"
    return outcome.Access(
        starter.Missing(f"it is {facts.ca}; {hint}."),
        starter.Missing(f"it is {facts.kubeconfig}; {hint}."),
    ), ""


def _lines(facts: Facts, report: Report) -> list[str]:
    files = ", ".join(facts.sources[:3])
    more = f" and {counted(len(facts.sources) - 3, 'more file')}" if len(facts.sources) > 3 else ""
    lines = [f"{facts.tool}: {files}{more}", "", f"taken ({len(report.taken)}):"]
    lines += [f"  {_taken(each)}" for each in _once(report.taken)]
    lines += ["", f"no counterpart ({len(report.without)}):"]
    lines += [f"  {line}" for line in _by_reason(report.without)]
    lines += ["", f"needs a decision ({len(report.decisions)}):"]
    lines += [f"  {_decision(each)}" for each in report.decisions]
    return [*lines, ""]


def _taken(found: Taken) -> str:
    source = f"{found.place}: {found.name}" if found.place else found.name
    return f"{found.key}: {_shown(found.value)}   ({source})"


def _once(taken: Sequence[Taken]) -> list[Taken]:
    return list({(each.key, str(each.value), each.name): each for each in taken}.values())


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else app.as_json(value)


def _by_reason(without: Sequence[Without]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for each in without:
        place = str(each.place).rpartition("/")[2]  # whole in --json
        named = each.name if each.name == place else f"{each.name} ({place})"
        reasons.setdefault(each.why, []).append(named)
    lines = []
    for why, names in reasons.items():
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        lines.append(f"{', '.join(names[:_MOST_NAMED])}{more}: {why}")
    return lines


def _decision(found: Open) -> str:
    place = f"{found.place}: " if found.place and str(found.place) not in found.why else ""
    return f"{found.key}: {place}{found.why}" if found.key else f"{place}{found.why}"


def _document(
    facts: Facts, report: Report, hosts: Sequence[Host], written: Sequence[Path]
) -> dict[str, Any]:
    return {
        "tool": facts.tool,
        "sources": list(facts.sources),
        "nodes": [host.name for host in hosts if not host.left_out],
        "taken": [
            {"key": t.key, "value": t.value, "name": t.name, **_place(t.place)}
            for t in _once(report.taken)
        ],
        "no_counterpart": [
            {"name": w.name, "why": w.why, **_place(w.place)} for w in report.without
        ],
        "decisions": [
            {"key": d.key, "why": d.why, "name": d.name, **_place(d.place)}
            for d in report.decisions
        ],
        "written": [str(path) for path in written],
    }


def _place(place: Any) -> dict[str, Any]:
    if place is None or isinstance(place, str):
        return {"file": place, "line": None}
    return {"file": place.file, "line": place.line}
