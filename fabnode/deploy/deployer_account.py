"""
The deployer's account: what `inv rbac.deployer` makes, and how a cluster's policy differs from it.

Both use one configuration, so that a run can say beforehand that the account was made for
another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kube.client import ApiError
from ..kube.server_side_apply import differences
from ..kube.service_accounts import DEPLOYER
from ..kube.service_accounts import objects as account_objects
from ..pki import proxy_names
from ..releases.matrix import matrix
from ..steps import proxy_cert
from ..steps.checks import probe_pods
from ..steps.finding import Finding
from ..util import program
from . import admission_policy, removed_policy, run_rights
from .admission_policy import Allowed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..config.configuration import Config
    from ..kube.client import Api, Object
    from ..releases.version import Release

_NAME = f"ValidatingAdmissionPolicy {DEPLOYER.name}"
_PATHS = tuple(
    f"/apis/admissionregistration.k8s.io/v1/{right.resource}/{DEPLOYER.name}"
    for right in run_rights.OWN_POLICY
)
_FIX = f"as administrator, run `{program.task('rbac.deployer')}` with this configuration"
_NOT_FOUND = 404


def guarded(server: Release) -> bool:
    """Return whether an apiserver of this release has the policy that limits the account."""
    return server.minor in matrix().api["validating admission policies"]


def objects(
    config: Config, network: Sequence[Object], server: Release, *, drains: bool = False
) -> tuple[Object, ...]:
    """
    Return the objects of the account, the namespace of its roles first.

    :param network: the objects of the pod network, each of which takes rights by its name.
    :param drains: it may drain nodes as well.
    """
    rights = run_rights.needed(config, network=network) + run_rights.seen(config)
    if any(node.kube_proxy.enabled for node in config.nodes):
        rights += run_rights.PROXY_NAMES
    if drains:
        rights += (*run_rights.DRAIN, run_rights.PAST_BUDGETS, run_rights.EVENTS)
        rights += run_rights.removing(config)
    policy: tuple[Object, ...] = ()
    if guarded(server):
        rights += run_rights.OWN_POLICY
        own = admission_policy.objects(DEPLOYER, allowed(config, network))
        policy = (*own, *removed_policy.objects())
    return (probe_pods.namespace(standing=True), *account_objects(DEPLOYER, rights), *policy)


def allowed(config: Config, network: Sequence[Object]) -> Allowed:
    """Return what the policy has to let through for this configuration."""
    signed = (node for node in config.nodes if node.kube_proxy.requested)
    subjects = {str(subject): subject for subject in map(proxy_cert.subject, signed)}
    return Allowed(
        shares_token=config.bootstrap.mode == "token-file",
        proxies=tuple((proxy_names.SHARED, subject) for subject in subjects.values()),
        secrets=tuple(o["metadata"]["name"] for o in network if o["kind"] == "Secret"),
        services=tuple(
            f"{o['metadata']['namespace']}/{o['metadata']['name']}"
            for o in network
            if o["kind"] == "Service"
        ),
    )


def policy_findings(api: Api, wanted: Allowed) -> tuple[Finding, ...]:
    """
    Ask the API for the policy on our own account, and return how it differs from what is wanted.

    An apiserver that serves no policies has nothing to compare.
    """
    try:
        policy, binding = _live(api)
    except ApiError as error:
        if error.status == _NOT_FOUND:
            return ()
        if not error.is_forbidden:
            raise
        text = f"its account has no right to read the {_NAME}, so that can't be checked"
        return (Finding("warning", text, _FIX),)
    return tuple(compare(wanted, policy, binding))


def admits_own_names(api: Api, wanted: Allowed) -> bool:
    """
    Return whether the policy on our own account lets it ask for certificates in nodes' own names.

    An older fabnode's does not. One that the account has no right to read counts as such a one.
    """
    try:
        policy, binding = _live(api)
    except ApiError as error:
        if error.status != _NOT_FOUND and not error.is_forbidden:
            raise
        return error.status == _NOT_FOUND
    if policy is None or not _enforced(binding):
        return True
    return admission_policy.admits_own_names(wanted, policy)


def compare(wanted: Allowed, policy: Object | None, binding: Object | None) -> Iterator[Finding]:
    """
    Yield how a cluster's policy on the account differs from the one that is wanted.

    One that refuses what the configuration needs is an error: a run would end halfway. Any
    other difference leaves the account with more, or less, than docs/trust.md says: a warning.

    :param policy, binding: None: it is not there.
    """
    if policy is None:
        text = f"there is no {_NAME}: its account can do all that docs/trust.md says it closes"
        yield Finding("warning", text, _FIX)
        return
    refused = admission_policy.refused(wanted, policy) if _enforced(binding) else ()
    if refused:
        text = f"the {_NAME} refuses what this configuration needs: {'; '.join(refused)}"
        yield Finding("error", text, _FIX)
        return
    if binding is None:
        yield Finding("warning", f"the {_NAME} has no binding, so it limits nothing", _FIX)
    for want, live in zip(
        admission_policy.objects(DEPLOYER, wanted), (policy, binding), strict=True
    ):
        fields = differences(live["spec"], want["spec"], "spec") if live else ()
        if fields:
            text = (
                f"the {want['kind']} {DEPLOYER.name} is not the one for this configuration and"
                f" release of fabnode: {', '.join(fields)}"
            )
            yield Finding("warning", text, _FIX)


def _enforced(binding: Object | None) -> bool:
    return binding is not None and "Deny" in binding["spec"].get("validationActions", ())


def _live(api: Api) -> tuple[Object | None, Object | None]:
    """Return the policy and its binding; 404 where the API knows no policies is raised."""
    policy, binding = (_find(api, path) for path in _PATHS)
    return policy, binding


def _find(api: Api, path: str) -> Object | None:
    """Return an object, None where there is none; 404 where the API has no such kind is raised."""
    try:
        return api.get(path)
    except ApiError as error:
        if error.status == _NOT_FOUND and error.reason:  # an unknown path gets no Status object
            return None
        raise
