"""`inv deploy-nodes`, and single steps of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...deploy import pipeline
from ...steps import bootstrap_kubeconfig
from ...steps.order import with_required
from .. import app

if TYPE_CHECKING:
    from ..options import Options


def may_join(step: str) -> bool:
    """Return whether hosts may join by a node step, with all that it requires."""
    return bootstrap_kubeconfig.STEP in with_required([step])


def deploy(options: Options) -> None:
    """Carry out the steps that were asked for; print results and, after all steps, checks."""
    with app.run_of(options) as run, app.shown_if_interrupted(run, as_json=options.json):
        app.end(run, pipeline.deploy(run), as_json=options.json)
