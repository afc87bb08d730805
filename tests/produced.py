"""
Which test brings out each failure of docs/troubleshooting.md, and each check that only a run makes.

`tests/conftest.py` records, while such a test runs, what fabnode's own code makes: a test that no
longer brings its failure out fails. `test_messages.py` holds the table against the page.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from fabnode.steps.checks.check import Check
from fabnode.util.errors import FabnodeError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

PRODUCED: dict[str, dict[str, str]] = {
    "config/test_files.py": {
        "ConfigError": "test_a_missing_file_is_reported_with_the_key_that_names_it",
    },
    "library/test_runs.py": {
        "InputError": "test_bad_input_is_raised[wrong1-must be 1 or more]",
    },
    "remote/test_small_parts.py": {
        "PasswordUnavailableError": "test_passwords_that_cannot_be_had",
        "ArtifactChangedError": "test_what_changed_since_it_was_hashed_is_not_packed",
    },
    "artifacts/test_store.py": {
        "ArtifactError": "test_all_missing_binaries_are_named",
    },
    "artifacts/test_download.py": {
        "DownloadError": "test_a_wrong_file_is_refused_and_nothing_of_it_kept",
    },
    "artifacts/test_upstreams.py": {
        "SourceError": "test_a_release_without_checksums_needs_them_from_the_operator",
    },
    "artifacts/test_bundle.py": {
        "BundleError": "test_a_bundle_that_was_not_promised_is_not_used",
    },
    "cni/test_calico.py": {
        "ManifestError": "test_a_manifest_that_knows_no_mtu_is_refused",
    },
    "artifacts/test_cni_manifest.py": {
        "CredentialError": "test_what_etcd_would_refuse_is_found_before",
    },
    "kube/test_kubeconfig.py": {
        "KubeconfigError": "test_what_is_no_kubeconfig_is_refused",
    },
    "kube/test_several_apiservers.py": {
        "NoReleaseError": "test_one_that_names_no_release_is_named_and_does_not_count",
    },
    "kube/test_login.py": {
        "PluginError": "test_a_plugin_that_fails_later_is_a_failure_not_bad_input",
        "ApiWrongError": "test_a_plugin_whose_token_is_refused_again_is_not_asked_for_ever",
    },
    "util/test_folders.py": {
        "ForeignFolderError": "test_a_cache_of_somebody_else_is_refused",
    },
    "cli/test_report.py": {
        "NoReportError": "test_write_makes_a_private_file_beside_the_journal",
    },
    "ssh/test_answers.py": {
        "UnreachableError": "test_a_name_that_does_not_resolve_says_nothing_of_the_host",
    },
    "remote/test_apply.py": {
        "HostError": "test_what_cant_be_packed_here_is_no_fault_of_the_connection",
        "HostMisbehavedError": "test_what_no_node_says_is_not_believed",
        "ApplyError": "test_a_unit_that_won_t_start_shows_its_journal_and_is_not_stamped",
    },
    "ssh/test_connections.py": {
        "AnsweredError": "test_nobody_listens",
        "UnknownHostKeyError": (
            "test_an_unknown_host_key_is_refused_with_the_command_that_records_it"
        ),
        "ChangedHostKeyError": "test_a_changed_host_key_is_refused",
        "AuthenticationError": "test_a_key_the_server_does_not_take",
        "ConnectionLostError": "test_a_server_that_opens_no_session",
    },
    "ssh/test_host_trust.py": {
        "RevokedHostKeyError": "test_a_revoked_key_is_reported_and_never_recorded",
        "HostCertificateError": "test_a_certificate_for_another_name_is_named",
    },
    "ssh/test_exec.py": {
        "SudoRefusedError": "test_sudo_that_wants_a_password_nobody_configured",
        "CommandTimeoutError": "test_a_time_limit_ends_the_command_on_the_host_too",
    },
    "node/test_plan.py": {
        "ConflictError": "test_a_directory_in_the_way_is_not_removed",
    },
    "deploy/test_node_deployer.py": {
        "PreflightError": "test_a_renewal_is_no_deployment",
        "ImpostorError": "test_an_impostor_is_expelled",
        "NotCertifiedError": (
            "test_where_nothing_was_certified_nobody_is_accused_and_the_node_stays"
        ),
        "UnprovedError": "test_what_is_not_proved_is_reported_and_left_for_the_next_run",
        "RenewalError": "test_a_certificate_that_stays_is_reported",
    },
    "util/test_wait.py": {
        "WaitTimeoutError": "test_after_the_deadline_it_says_what_was_awaited_and_how_long",
    },
    "deploy/test_rotation.py": {
        "NotReadyError": (
            "test_what_the_first_node_comes_to_decides_about_the_others[it is not well]"
        ),
    },
    "pki/test_ca_rollover.py": {
        "NoSafeTransitionError": "test_what_would_cut_a_node_off_is_refused",
    },
    "deploy/test_never_quiet.py": {
        "KeyLookupError": "test_a_host_that_can_not_be_asked_for_its_key_is_no_success",
    },
    "kube/test_csr.py": {
        "SigningError": "test_a_signer_that_does_not_sign_what_it_was_asked_for_is_reported",
    },
    "deploy/test_cluster_session.py": {
        "MissingRightsError": "test_without_rights_the_lock_is_not_taken",
        "OtherApproverError": "test_where_others_approve_first_certificates_nothing_is_judged",
        "AccountPolicyError": (
            "test_a_policy_that_would_refuse_our_requests_stops_the_run_before_its_first_change"
        ),
    },
    "kube/test_lease_lock.py": {
        "LockedError": "test_living_run_is_named_with_the_way_out",
    },
    "kube/test_client.py": {
        "ApiAwayError": "test_apiserver_that_is_away_is_no_kubelets_fault",
        "ApiError": "test_apiserver_that_forbids_is_taken_at_its_word",
        "KubeletError": "test_a_kubelet_that_never_answers_is_named_after_one_try",
    },
    "deploy/test_verification.py": {
        "ClusterError": "test_a_pod_that_may_not_be_renewed_is_named_with_the_command",
    },
    "deploy/test_network_probe.py": {
        "ProbeRefusedError": "test_pods_that_the_cluster_refuses_are_a_failure_of_their_own",
    },
    "deploy/test_hardening.py": {
        "NotFixedError": "test_what_was_repaired_must_be_gone[what was repaired is still found]",
        "ApiserverCutOffError": (
            "test_only_a_kubelet_that_let_the_apiserver_in_before_can_be_cut_off[True-False-True]"
        ),
    },
    "deploy/test_doctor_runs.py": {
        "NotCuredError": "test_a_node_that_is_still_not_well_fails_with_its_cause",
        "FixError": "test_a_command_that_fails_is_that_nodes_failure",
    },
    "deploy/test_draining.py": {
        "DrainBlockedError": "test_a_pod_that_would_not_go_leaves_its_node_as_it_is",
        "StillThereError": (
            "test_one_that_comes_later_and_does_not_go_ends_it_once_others_have_gone"
        ),
        "ForeignCordonError": "test_a_cordon_of_an_admin_is_left_by_all_of_these",
        "NotANodeError": "test_a_node_that_is_none_is_named",
    },
    "deploy/test_maintenance.py": {
        "RebootError": "test_nodes_follow_each_other_and_a_failure_ends_it",
        "KernelTooOldError": "test_a_kernel_that_is_too_old_is_not_booted",
        "MaintenanceCommandError": "test_a_command_that_fails_leaves_the_node_cordoned",
        "NotWellError": "test_a_node_that_is_not_well_takes_no_pods",
        "NotItsHostError": "test_a_host_that_is_not_the_nodes_is_not_rebooted",
        "PodsMayRunError": "test_pods_that_may_run_are_not_declared_dead[sandbox]",
    },
    "deploy/test_upgrading.py": {
        "WentBackError": "test_a_node_that_fails_goes_back_and_ends_the_run",
        "StuckError": "test_a_host_that_is_dead_stays_cordoned_and_is_named",
        "UpgradeRefusedError": "test_a_way_that_is_not_supported_is_refused",
        "TooManyDownError": "test_a_node_that_is_down_already_counts",
    },
    "deploy/test_network_upgrade.py": {
        "NetworkWentBackError": (
            "test_one_that_is_not_well_goes_back_and_the_others_are_untouched[never ready]"
        ),
    },
    "deploy/test_restart_turns.py": {
        "TurnsStoppedError": "test_the_first_turn_that_fails_is_the_last_one",
        "TooManyUnreadyError": ("test_a_node_that_is_down_counts_like_one_that_restarts[1-False]"),
    },
    "deploy/test_removing.py": {
        "OtherMachineError": "test_a_host_that_is_another_machine_leaves_all_as_it_is[a clone]",
        "NotProvenDeadError": (
            "test_pods_of_which_anything_may_run_are_not_declared_dead[of another runtime]"
        ),
    },
    "deploy/test_offline_removal.py": {
        "NotOfflineError": "test_one_that_shows_signs_of_life_is_left_as_it_is[_answers]",
        "NotProvenOffError": ("test_pods_of_a_host_that_is_not_proven_off_are_not_declared_dead"),
    },
    "deploy/test_resetting.py": {
        "ResetRefusedError": "test_pods_of_others_refuse_it_before_anything_is_done",
        "NotResetError": "test_what_is_still_there_at_the_end_is_a_failure",
    },
    "deploy/test_hooks.py": {
        "HookError": "test_a_failed_hook_is_that_nodes_failure_and_stays_due",
    },
    "deploy/test_site_steps.py": {
        "OwnStepError": "test_what_a_step_can_t_say_names_step_and_file",
    },
    "deploy/test_pipeline.py": {
        "reachable": "test_a_node_without_a_single_check_is_not_proved",
    },
}
"""Module → what is brought out → by which of its tests."""


def brought_out_by(module: str, tests: Collection[str]) -> set[str]:
    """Return what one of these tests has to bring out."""
    return {name for name, by in PRODUCED.get(module, {}).items() if by in tests}


@contextmanager
def recorded() -> Iterator[set[str]]:
    """Record the names of exceptions that fabnode's code makes, and of checks that are not good."""
    seen: set[str] = set()
    raised, checked = FabnodeError.__init__, Check.__init__

    @wraps(raised)
    def failure(self: FabnodeError, *args: Any, **named: Any) -> None:
        if _made_by_fabnode():
            seen.add(type(self).__name__)
        raised(self, *args, **named)

    @wraps(checked)
    def check(self: Check, *args: Any, **named: Any) -> None:
        checked(self, *args, **named)
        if not self.ok and _made_by_fabnode():
            seen.add(self.name)

    with patch.object(FabnodeError, "__init__", failure), patch.object(Check, "__init__", check):
        yield seen


def _made_by_fabnode() -> bool:
    """Say whether the constructor, and those of its subclasses, was called by fabnode's code."""
    frame = sys._getframe(2)
    while frame.f_code.co_name == "__init__" and frame.f_back:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__")).startswith("fabnode.")
