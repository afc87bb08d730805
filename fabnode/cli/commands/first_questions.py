"""Questions of `inv config.init` to whoever sits at the terminal: what nothing else tells."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from ...config import answers
from ...config.file_checks import NotACertificateError, read_ca
from ...config.host_addresses import EXAMPLES, host_addresses
from ...config.starter import REQUIRED, Known, Missing, judged, local, service_families
from ...util.errors import InputError
from ...util.problems import ConfigError
from ...util.typed_paths import typed_path
from .. import app

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ...config.host_list import Host
    from ...config.starter import Fact, Findings

_SOURCE = "Answered at the terminal."
_LIKE = {
    "version": "1.36.3",
    "apiserver": "https://192.168.1.41:6443",
    "ca": "ca.pem",
    "service_cidr": "10.68.0.0/16",
    "pod_cidr": "172.20.0.0/16",
    "dns_address": "10.68.0.2",
}


def is_possible(hosts_file: str) -> bool:
    """Return whether somebody can be asked: at a terminal, and not where hosts come from it."""
    return hosts_file != "-" and sys.stdin.isatty() and sys.stdout.isatty()


class Questions:
    """
    Questions of one command. An empty answer leaves open what it is about.

    :param asks: False: nobody is asked, and all stays open.
    """

    def __init__(self, *, asks: bool) -> None:
        self._asks = asks

    def hosts(self, known: Callable[[str], list[Host]]) -> list[Host]:
        """
        Ask which hosts there are.

        :param known: makes hosts of an answer, or raises ConfigError.
        """
        made: list[Host] = []

        def refusal(answer: str) -> str:
            try:
                made[:] = known(answer)
            except ConfigError as error:
                first = error.problems[0]
                return f"{first.message}; {first.hint}" if first.hint else first.message
            return ""

        why = "nodes are not known: no hosts were named (--hosts, --hosts-file)"
        like = "hosts: NAME ADDRESS, with commas between"
        return made if self._answer(why, like, refusal) else []

    def cluster(self, findings: Findings, folder: Path) -> Findings:
        """
        Ask for each key of `cluster` that is not known.

        :param folder: where the configuration will lie.
        """
        facts = dict(findings.cluster)
        asked: set[str] = set()
        while key := _open(facts, asked):
            asked.add(key)
            fact = judged(facts)[key]
            why = f"cluster.{key} is not known: {fact.why if isinstance(fact, Missing) else ''}"
            answer = self._answer(
                why,
                f"cluster.{key}, such as {_LIKE[key]}" + (f" in {folder}" if key == "ca" else ""),
                lambda text, key=key: _refusal(facts, key, text, folder),  # type: ignore[misc]
            )
            if answer:
                value = _path(answer, folder) if key == "ca" else answers.value_of(key, answer)
                facts[key] = Known(value, _SOURCE)
        return replace(findings, cluster=facts)

    def addresses(self, findings: Findings, hosts: Sequence[Host]) -> list[Host]:
        """Ask for addresses of hosts that lack some that their kubelets need."""
        facts = findings.cluster
        families = service_families(judged(facts)["service_cidr"])
        example = ",".join(EXAMPLES[each] for each in families or (4,))
        made = []
        for host in hosts:
            found = host_addresses(host, families)
            answer = ""
            if found.why:
                answer = self._answer(
                    f"ip of {host.name} is not known: {found.why}",
                    f"ip of {host.name}, such as {example}",
                    lambda text, host=host: answers.refusal_of_ip(facts, host, text),  # type: ignore[misc]
                )
            made.append(replace(host, ip=answers.ip_of(answer)) if answer else host)
        return made

    def _answer(self, why: str, what: str, refusal: Callable[[str], str]) -> str:
        """Return an answer that is not refused; empty: it is left open."""
        if not self._asks:
            return ""
        app.print_text(why)
        while True:
            try:
                answer = input(f"  {what} (Enter leaves it open): ").strip()
            except EOFError:
                self._asks = False
                app.print_text("")  # the question's line has not ended
                return ""
            if not answer:
                return ""
            if not (refused := refusal(answer)):
                return answer
            app.print_text(f"  {answer} is not taken: {refused.rstrip('.')}")


def _open(facts: dict[str, Fact], asked: set[str]) -> str:
    """Return the first key that is not known, and was not asked for; empty: there is none."""
    found = judged(facts)
    return next((k for k in REQUIRED if isinstance(found[k], Missing) and k not in asked), "")


def _refusal(facts: dict[str, Fact], key: str, answer: str, folder: Path) -> str:
    if key == "ca":
        try:
            read_ca(folder / typed_path(answer))
        except (InputError, NotACertificateError) as error:
            return error.message
    return answers.refusal(facts, key, answers.value_of(key, answer))


def _path(answer: str, folder: Path) -> str:
    return local(folder / typed_path(answer), folder)
