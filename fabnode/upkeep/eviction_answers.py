"""
Kinds of answers to evictions: which refusals pass by themselves.

A 429 comes from a budget only with its cause, otherwise from a busy apiserver or a webhook; two
budgets over one pod give a permanent 500; a 403 may be a terminating namespace. Some releases say
each of these in the message alone (kubernetes `pkg/registry/core/pod/storage/eviction.go`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .objects import line

if TYPE_CHECKING:
    from .objects import Object

Kind = Literal["accepted", "gone", "held", "busy", "refused"]

_BUDGET, _TERMINATING = "DisruptionBudget", "NamespaceTerminating"
_OF_A_BUDGET = "disruption budget"
_TWO_BUDGETS = "more than one PodDisruptionBudget"
_NOT_FOUND, _CONFLICT, _TOO_MANY, _FORBIDDEN, _TIMEOUT, _BROKEN = 404, 409, 429, 403, 408, 500


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What became of an eviction.

    :param kind: accepted; gone: that pod is no more; held: by a budget, for now; busy: to be tried
        again; refused: trying again does not help by itself.
    :param text: the API's message on what was not accepted.
    :param after: seconds until the API wants to be asked again; 0: it does not say.
    """

    kind: Kind
    text: str = ""
    after: float = 0.0


def answer(status: int, body: Object) -> Answer:
    """Read the answer to an eviction: its status code and its object."""
    if status < 300:
        return Answer("accepted")
    details = body.get("details")
    details = details if isinstance(details, dict) else {}
    causes = [each for each in details.get("causes") or () if isinstance(each, dict)]
    reasons = {each.get("reason") for each in causes}
    said = [str(body.get("message") or f"HTTP {status}")]
    said += [str(each["message"]) for each in causes if each.get("message")]
    text = line("; ".join(dict.fromkeys(said)))
    after = details.get("retryAfterSeconds")
    seconds = float(after) if isinstance(after, int) and 0 < after < 3600 else 0.0
    if status in {_NOT_FOUND, _CONFLICT}:
        return Answer("gone", text)
    if status == _TOO_MANY:
        by_budget = _BUDGET in reasons or _OF_A_BUDGET in text
        return Answer("held" if by_budget else "busy", text, seconds)
    if status == _FORBIDDEN:
        return Answer("busy" if _TERMINATING in reasons else "refused", text, seconds)
    if status == _TIMEOUT or (status >= _BROKEN and _TWO_BUDGETS not in text):
        return Answer("busy", text, seconds)
    return Answer("refused", text)
