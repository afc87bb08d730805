"""A changed CA: at which stage a node is, and from where no safe way leads on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabnode.pki.ca_rollover import (
    BUNDLE,
    CERTIFICATES,
    DONE,
    OLD_OUT,
    Authorities,
    NoSafeTransitionError,
    Stage,
    named,
)
from fabnode.pki.renewal import CLIENT, KINDS, PROXY
from tests.support import authority, certificate, pem

OLD_CA, NEW_CA, THIRD_CA = (authority(name) for name in ("test-ca", "new-ca", "third-ca"))
OLD, NEW, THIRD = (pem(ca[0]) for ca in (OLD_CA, NEW_CA, THIRD_CA))
BY_OLD = dict.fromkeys(KINDS, certificate("system:node:n1", by=OLD_CA))
BY_NEW = dict.fromkeys(KINDS, certificate("system:node:n1", by=NEW_CA))


@pytest.mark.parametrize(
    ("wanted", "trusted", "held", "stage"),
    [
        (OLD, OLD, BY_OLD, DONE),
        (NEW + OLD, OLD, BY_OLD, BUNDLE),
        (NEW + OLD, OLD + NEW, BY_OLD, CERTIFICATES),
        (NEW + OLD, NEW + OLD, BY_NEW | {PROXY: BY_OLD[PROXY]}, CERTIFICATES),
        (NEW + OLD, NEW + OLD, BY_NEW | {CLIENT: ""}, CERTIFICATES),  # cut off while it asked
        (NEW + OLD, NEW + OLD, BY_NEW, DONE),
        (NEW, NEW + OLD, BY_NEW, OLD_OUT),
        (NEW, NEW, BY_NEW, DONE),
        (OLD + NEW, OLD + NEW, BY_NEW, CERTIFICATES),  # back again
    ],
)
def test_the_stage_is_what_the_node_holds(
    wanted: bytes, trusted: bytes, held: dict[str, str], stage: Stage
) -> None:
    assert Authorities.of(wanted).stage(trusted, held) == stage


@pytest.mark.parametrize(
    ("wanted", "trusted", "held", "words"),
    [
        (NEW, OLD, BY_OLD, "which cluster.ca does not contain"),
        (NEW, b"", {}, "trusts no CA"),
        (NEW, b"rubbish", {}, "trusts no CA"),
        (NEW, NEW + OLD, BY_OLD, "no longer trust the CA of its own certificates (client, serving"),
        (THIRD + NEW, NEW + OLD, BY_NEW, "and removing CN=test-ca"),
    ],
)
def test_what_would_cut_a_node_off_is_refused(
    wanted: bytes, trusted: bytes, held: dict[str, str], words: str
) -> None:
    with pytest.raises(NoSafeTransitionError) as caught:
        Authorities.of(wanted).stage(trusted, held)
    assert words in str(caught.value)


@given(
    st.lists(st.sampled_from([OLD, NEW, THIRD]), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from([OLD, NEW, THIRD]), max_size=3, unique=True),
    st.fixed_dictionaries(
        {kind: st.sampled_from([BY_OLD[CLIENT], BY_NEW[CLIENT]]) for kind in KINDS}
    ),
)
def test_no_stage_ever_takes_away_what_a_node_lives_on(
    wanted: list[bytes], trusted: list[bytes], held: dict[str, str]
) -> None:
    """Whatever is asked for: the CA of a certificate that stays is trusted before and after."""
    authorities = Authorities.of(b"".join(wanted))
    try:
        stage = authorities.stage(b"".join(trusted), held)
    except NoSafeTransitionError:
        return
    lost = set(trusted) - set(wanted)
    if lost:
        assert stage == OLD_OUT
        assert all(pem_ == BY_NEW[CLIENT] for pem_ in held.values()) == (wanted[0] == NEW)
    if set(wanted) - set(trusted):
        assert stage == BUNDLE
        assert set(trusted) & set(wanted)


def test_cas_are_told_apart_by_their_end() -> None:
    assert named(OLD).startswith("CN=test-ca (until 20")
