"""The release of an API's apiservers, by the oldest of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..releases.version import Release
from ..util.errors import ClusterError
from ..util.sanitize import clean
from .client import ApiWrongError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .client import Api

_LONGEST = 80


class NoReleaseError(ApiWrongError):
    """What an apiserver says of its release is none such as 1.36.3."""


def server_release(
    api: Api, each: Sequence[Api] = (), warn: Callable[[str], None] = lambda _text: None
) -> Release:
    """
    Return the oldest release of the apiservers, without what a distribution adds to it.

    What is newer than the oldest may not be asked for, nor a kubelet be newer. One that does not
    answer now can't be judged: that is reported, and the others count.

    :param each: a client of each apiserver alone, where there are several.
    :raises ClusterError: none answers, or what answers names no release.
    """
    first = _release(api)
    others = [one for one in each if one.server != api.server]
    if not others:
        return first

    def ask(one: Api) -> Release | ClusterError:
        try:
            return _release(one)
        except ClusterError as error:
            return error

    with ThreadPoolExecutor(len(others)) as pool:
        answers = list(pool.map(ask, others))
    for one, answer in zip(others, answers, strict=True):
        if isinstance(answer, ClusterError):
            warn(f"the release of {one.server} is not known, the others count: {answer.message}")
    return min([first, *(found for found in answers if isinstance(found, Release))])


def _release(api: Api) -> Release:
    version = str(api.get("/version").get("gitVersion"))
    try:
        return Release.parse(version.partition("-")[0].partition("+")[0])
    except ValueError as error:
        named = clean(version)[:_LONGEST]
        raise NoReleaseError(
            f"{api.server} names no release of Kubernetes: {named!r}",
            f"check what answers at {api.server}/version",
        ) from error
