"""
Disruption budgets: which pods they cover, what they allow, and whether that can ever be more.

What an eviction asks of them is that of kubernetes `pkg/registry/core/pod/storage/eviction.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .objects import line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .objects import Object

_ALWAYS = "AlwaysAllow"


@dataclass(frozen=True, slots=True)
class Budget:
    """
    A PodDisruptionBudget.

    :param selector: None: it covers no pod.
    :param empty_selects_all: what `{}` means: every pod in policy/v1, none in policy/v1beta1.
    :param rule: what its author wrote, such as `minAvailable: 2`.
    :param allowed, healthy, desired, expected: of its status.
    :param observed: the status is about the budget as it is now.
    :param lets_unready_go: pods that are not ready may always be evicted.
    :param fault: why its controller can't process it; empty: it can.
    """

    namespace: str
    name: str
    selector: Object | None
    empty_selects_all: bool
    rule: str
    allowed: int
    healthy: int
    desired: int
    expected: int
    observed: bool
    lets_unready_go: bool = False
    fault: str = ""

    @classmethod
    def parse(cls, item: Object, *, empty_selects_all: bool) -> Budget:
        """Read one as the API shows it."""
        metadata, spec = item["metadata"], item.get("spec") or {}
        status = item.get("status") or {}
        seen, now = status.get("observedGeneration", 0), metadata.get("generation", 0)
        kind = "maxUnavailable" if spec.get("maxUnavailable") is not None else "minAvailable"
        failed = (
            condition
            for condition in status.get("conditions") or ()
            if condition.get("type") == "DisruptionAllowed"
            and condition.get("reason") == "SyncFailed"
        )
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            selector=spec.get("selector"),
            empty_selects_all=empty_selects_all,
            rule=f"{kind}: {line(spec.get(kind, 1))}",
            allowed=_number(status, "disruptionsAllowed"),
            healthy=_number(status, "currentHealthy"),
            desired=_number(status, "desiredHealthy"),
            expected=_number(status, "expectedPods"),
            observed=seen >= now,
            lets_unready_go=spec.get("unhealthyPodEvictionPolicy") == _ALWAYS,
            fault=line((next(failed, None) or {}).get("message")),
        )

    @property
    def title(self) -> str:
        """Its name with the namespace."""
        return f"{self.namespace}/{self.name}"

    @property
    def numbers(self) -> str:
        """What it needs and has."""
        needs = f"needs {self.desired} of {self.expected} healthy"
        return f"{needs} ({self.rule}), has {self.healthy}, allows {max(self.allowed, 0)}"

    @property
    def never_allows(self) -> bool:
        """Whether it would allow nothing even if all of its pods were healthy."""
        return self.observed and self.desired >= self.expected > 0

    def covers(self, pod: Object) -> bool:
        """Return whether a pod is one of its."""
        metadata = pod["metadata"]
        if metadata.get("namespace") != self.namespace or self.selector is None:
            return False
        if not self.selector.get("matchLabels") and not self.selector.get("matchExpressions"):
            return self.empty_selects_all
        return selects(self.selector, metadata.get("labels") or {})

    def passes_unready(self) -> bool:
        """Return whether a pod that runs and is not ready may go without being counted."""
        return self.lets_unready_go or self.healthy >= self.desired > 0


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Return whether a LabelSelector that is not empty matches these labels."""
    equal = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in equal.items()):
        return False
    return all(_fulfilled(each, labels) for each in selector.get("matchExpressions") or ())


def query(selector: Object) -> str:
    """Return a LabelSelector as the API's `labelSelector` takes it."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or ():
        key, values = each["key"], ",".join(each.get("values") or ())
        match each["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts)


def _fulfilled(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False  # an operator of a later release: what it means, the API says when asked


def _number(status: Object, key: str) -> int:
    found = status.get(key)
    return found if isinstance(found, int) else 0
