"""
Run Kubernetes' own tests on nodes that fabnode makes: `make conformance`, or parts of it.

`python -m lab.conformance [--only PART,…] [--form FORM,…] [--keep]`, or `--table`: only the counts
of what was run and kept in `.conformance/`. Exit 1: a test failed that is not in known.yml.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import builds, state, versions
from .. import cluster as labs
from ..errors import LabError, LabInputError
from ..layout import Layout
from ..progress import Progress
from . import cluster, images, report, routes, selection, suite
from .report import Known, Run
from .selection import Form, Part

KNOWN = Path(__file__).with_name("known.yml")
NAME = "conf"


def main(words: Sequence[str]) -> int:
    """Run what is asked for, print the table, and return the exit code."""
    asked = _arguments(words)
    known = report.known_failures(KNOWN.read_text())
    runs: list[Run] = []
    if not asked.table:
        parts, forms = selection.parts(asked.only), selection.forms(asked.form)
        for vm in sorted({form.vm for form in forms}):
            of_kind = [form for form in forms if form.vm is vm]
            runs += on_lab(f"{asked.name}v" if vm else asked.name, of_kind, parts, keep=asked.keep)
    print(report.table(suite.kept(), known))
    return judge(runs or suite.kept(), known)


def on_lab(name: str, forms: Sequence[Form], parts: Sequence[Part], *, keep: bool) -> list[Run]:
    """Run parts of the tests on one lab, whose nodes get one form after the other."""
    progress = Progress()
    coredns = builds.provide(versions.coredns(), progress)
    e2e = builds.provide(versions.kubernetes_e2e(), progress)
    archives = images.provide(e2e, coredns, progress)
    wanted = state.State(
        selection.NODES, versions.KUBERNETES, jump=False, subnet="", vm=forms[0].vm
    )
    try:
        layout = labs.up(cluster.PROJECT, name, wanted, progress)
        return [
            each
            for form in forms
            for each in _in_form(layout, form, parts, archives, e2e, progress)
        ]
    finally:
        if not keep:
            labs.down(cluster.PROJECT, name, progress)


def _in_form(
    layout: Layout,
    form: Form,
    parts: Sequence[Part],
    archives: Sequence[Path],
    e2e: Path,
    progress: Progress,
) -> list[Run]:
    cluster.prepare(layout, form, archives, e2e, progress)
    hosts = {host.name: str(host.address) for host in layout.nodes(selection.NODES)}
    runs = []
    for part in parts:
        with (
            routes.to_pods(layout, cluster.kubectl_words(layout), hosts),
            progress.work(f"{form.name}: {part.name}") as say,
        ):
            runs.append(suite.run(e2e, layout, form, part, say))
    return runs


def judge(runs: Sequence[Run], known: Sequence[Known]) -> int:
    """Say what is not as the list of known failures has it; return the exit code."""
    for entry in report.mended(runs, known):
        print(f"passes by now, take it out of {KNOWN.name}: {entry.test}")
    unknown = [(run, test) for run in runs for test in report.unknown(run, known)]
    for run, test in unknown:
        print(f"{test.state}, and not in {KNOWN.name}: {test.name} ({run.form}, {run.part})")
    return 1 if unknown or not runs else 0


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m lab.conformance", description=__doc__)
    parts = ", ".join(part.name for part in selection.PARTS)
    forms = ", ".join(form.name for form in selection.FORMS)
    parser.add_argument("--only", default="", metavar="PART,…", help=parts)
    parser.add_argument("--form", default="", metavar="FORM,…", help=forms)
    parser.add_argument("--name", default=NAME, help=f"of the lab ({NAME})")
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    parser.add_argument("--table", action="store_true", help="print what is kept, run nothing")
    return parser.parse_args(words)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabInputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except LabError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted")
