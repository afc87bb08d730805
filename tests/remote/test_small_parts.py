"""Passwords, packed artifacts, and text from hosts."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fabnode.config.configuration import SecretRef
from fabnode.config.secret_prompts import (
    LOGIN,
    SUDO,
    PasswordUnavailableError,
    SecretRequest,
    ask_bootstrap_token,
    ask_secrets,
)
from fabnode.remote import payload_cache as packed
from fabnode.remote.payload_cache import GZIP, ZSTD, Packer
from fabnode.util.sanitize import clean, last_lines

from ..support import make_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

    from fabnode.config.configuration import Node

STEERING = {chr(code) for code in (*range(9), *range(11, 32), *range(0x7F, 0xA0))}
STEERING |= set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


@given(st.text() | st.binary())
def test_clean_text_has_no_character_that_steers_a_terminal(text: str | bytes) -> None:
    for kept in (clean(text), clean(text, lines=True)):
        assert not set(kept) & STEERING
    assert "\n" not in clean(text)


def test_clean_keeps_what_people_read() -> None:
    assert clean(b"caf\xc3\xa9  \x1b[31mred\x1b[0m\r\n") == "café [31mred [0m"
    assert clean("a\n\tb", lines=True) == "a\n\tb"
    assert last_lines("1\n2\n3\n\n", 2) == "2\n3"


def nodes_with(tmp_path: Path, *settings: dict[str, Any]) -> tuple[Node, ...]:
    nodes = [
        {"name": f"n{i}", "address": f"192.0.2.{i}", "ssh": ssh}
        for i, ssh in enumerate(settings, 1)
    ]
    return make_config(tmp_path, nodes=nodes).nodes


def test_passwords_from_environment_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_PASSWORD", "from env")
    file = tmp_path / "password"
    file.write_text("from file\n")
    file.chmod(0o600)
    nodes = nodes_with(
        tmp_path,
        {"password": {"env": "THE_PASSWORD"}},
        {"user": "ops", "sudo_password": {"file": str(file)}},
        {},
    )
    assert ask_secrets(nodes, None) == {
        ("n1", LOGIN): "from env",
        ("n2", SUDO): "from file",
    }


def test_one_question_per_user(tmp_path: Path) -> None:
    asked: list[SecretRequest] = []

    def typed(request: SecretRequest) -> str:
        asked.append(request)
        return "typed"

    nodes = nodes_with(
        tmp_path, *[{"user": user, "sudo_password": {"prompt": True}} for user in ("a", "a", "b")]
    )
    assert set(ask_secrets(nodes, typed).values()) == {"typed"}
    assert asked == [
        SecretRequest("ssh.sudo_password", user, f"sudo password of {user}: ") for user in "ab"
    ]


def test_the_end_of_input_is_no_password(tmp_path: Path) -> None:
    nodes = nodes_with(tmp_path, {"password": {"prompt": True}})
    with pytest.raises(PasswordUnavailableError, match=r"ssh\.password of n1: no answer"):
        ask_secrets(nodes, Mock(side_effect=EOFError))


@pytest.mark.parametrize(
    ("reference", "content", "mode", "printed"),
    [
        ({"env": "NOT_SET_AT_ALL"}, "", 0o600, "environment variable NOT_SET_AT_ALL is not set"),
        ({"prompt": True}, "", 0o600, r"use \{env: NAME\} or \{file: PATH\} instead"),
        ({"file": "password"}, "x", 0o640, "run `chmod 600 "),
        ({"file": "password"}, "", 0o600, "is empty"),
        ({"file": "password"}, "one\ntwo\n", 0o600, "more than one line"),
        ({"file": "password"}, "", 0o600, "No such file"),
    ],
)
def test_passwords_that_cannot_be_had(
    tmp_path: Path, reference: dict[str, object], content: str, mode: int, printed: str
) -> None:
    file = tmp_path / "password"
    file.write_text(content)
    file.chmod(mode)
    nodes = nodes_with(tmp_path, {"user": "ops", "sudo_password": reference})
    if printed.startswith("No such"):
        file.unlink()  # since the configuration was loaded
    with pytest.raises(PasswordUnavailableError, match=printed) as caught:
        ask_secrets(nodes, None)
    assert str(caught.value).startswith("ssh.sudo_password of n1: ")


def test_a_bootstrap_token_is_one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes into a kubeconfig, and into HTTP headers."""
    reference = SecretRef.model_validate({"env": "THE_TOKEN"})
    monkeypatch.setenv("THE_TOKEN", "0123456789abcdef")
    assert ask_bootstrap_token(reference, None) == "0123456789abcdef"
    for bad in ("", "a b", "a\nb", "a,kubelet-bootstrap,10001", "tökén", "\x1b[1m"):
        monkeypatch.setenv("THE_TOKEN", bad)
        with pytest.raises(PasswordUnavailableError, match=r"bootstrap\.token: is not a token"):
            ask_bootstrap_token(reference, None)
    with pytest.raises(PasswordUnavailableError, match="can't be asked for here"):
        ask_bootstrap_token(SecretRef.model_validate({"prompt": True}), None)


CONTENT = b"some artifact " * 10_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "artifact"
    path.write_bytes(CONTENT)
    return path


def test_packed_artifacts_unpack_to_themselves(tmp_path: Path, source: Path) -> None:
    packer = Packer(tmp_path / "packed")
    zipped = packer.packed(source, DIGEST, GZIP).path.read_bytes()
    squeezed = packer.packed(source, DIGEST, ZSTD).path.read_bytes()
    assert gzip.decompress(zipped) == CONTENT
    assert zstandard.ZstdDecompressor().stream_reader(io.BytesIO(squeezed)).read() == CONTENT
    assert zstandard.get_frame_parameters(squeezed).has_checksum
    assert (tmp_path / "packed").stat().st_mode & 0o777 == 0o700


def test_an_artifact_is_packed_once_for_all_threads_and_runs(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    real = packed._pack

    def counted(source: Path, target: Path, sha256: str) -> None:
        done.append(target)
        real(source, target, sha256)

    monkeypatch.setattr(packed, "_pack", counted)
    packer = Packer(tmp_path / "packed")
    threads = [
        threading.Thread(target=packer.packed, args=(source, DIGEST, ZSTD)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Packer(tmp_path / "packed").packed(source, DIGEST, ZSTD)
    assert len(done) == 1


def test_what_was_seen_whole_is_unpacked_again_only_where_it_is_doubted(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "packed"
    made = Packer(folder).packed(source, DIGEST, ZSTD)
    seen: list[Path] = []
    real = packed._digest_of

    def digest_of(target: Path, sha256: str) -> str | None:
        seen.append(target)
        return real(target, sha256)

    monkeypatch.setattr(packed, "_digest_of", digest_of)
    assert Packer(folder).packed(source, DIGEST, ZSTD) == made
    assert seen == []
    Packer(folder).doubt([DIGEST])
    for _ in range(2):
        assert Packer(folder).packed(source, DIGEST, ZSTD) == made
    assert len(seen) == 1
    name, mark = made.path.name, [1, 2, 3]
    odd = ("[", "null", "[1]", json.dumps({name: 5}), json.dumps({name: {"mark": mark}}))
    for text in odd:
        (folder / "seen.json").write_text(text)
        assert Packer(folder).packed(source, DIGEST, ZSTD) == made
    assert len(seen) == 1 + len(odd)
    made.path.touch()
    for _ in range(2):
        assert Packer(folder).packed(source, DIGEST, ZSTD) == made
    assert len(seen) == 2 + len(odd)


def test_what_is_written_wrong_is_not_sent(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk or a memory that is damaged: its digest would vouch for it on all hosts."""

    def damaged(content: Any, out: IO[bytes], _: str) -> None:
        content.read()
        out.write(zstandard.compress(b"something else"))

    monkeypatch.setattr(packed, "_compress", damaged)
    with pytest.raises(OSError, match="not what comes back"):
        Packer(tmp_path / "packed").packed(source, DIGEST, ZSTD)
    assert not (tmp_path / "packed/seen.json").exists()


def test_runs_side_by_side_keep_what_each_other_saw(tmp_path: Path, source: Path) -> None:
    folder, other = tmp_path / "packed", tmp_path / "other"
    other.write_bytes(b"other")
    one, two = Packer(folder), Packer(folder)
    names = {one.packed(source, DIGEST, ZSTD).path.name}
    names.add(two.packed(other, hashlib.sha256(b"other").hexdigest(), ZSTD).path.name)
    assert set(json.loads((folder / "seen.json").read_text())) == names


def test_a_failure_leaves_nothing_that_looks_packed(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packed, "_compress", full)
    with pytest.raises(OSError, match="No space left"):
        Packer(tmp_path / "packed").packed(source, DIGEST, ZSTD)
    assert list((tmp_path / "packed").iterdir()) == []


@pytest.mark.parametrize("suffix", [ZSTD, GZIP])
@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: b"",
        lambda packed: b"rubbish",
        lambda packed: packed[:-9],
        lambda packed: packed[:40] + bytes([packed[40] ^ 1]) + packed[41:],
        lambda packed: zstandard.compress(b"another artifact"),
        lambda packed: gzip.compress(b"another artifact"),
    ],
    ids=["empty", "rubbish", "cut", "a bit", "another (zstd)", "another (gzip)"],
)
def test_a_damaged_packed_form_is_noticed_and_made_again(
    tmp_path: Path, source: Path, suffix: str, damage: Callable[[bytes], bytes]
) -> None:
    target = Packer(tmp_path / "packed").packed(source, DIGEST, suffix).path
    whole = target.read_bytes()
    target.write_bytes(damage(whole))
    made = Packer(tmp_path / "packed").packed(source, DIGEST, suffix)
    assert made.path.read_bytes() == whole
    assert (made.sha256, made.size) == (hashlib.sha256(whole).hexdigest(), len(whole))


@pytest.mark.parametrize("suffix", [ZSTD, GZIP])
def test_what_changed_since_it_was_hashed_is_not_packed(
    tmp_path: Path, source: Path, suffix: str
) -> None:
    source.write_bytes(CONTENT + b"x")
    with pytest.raises(packed.ArtifactChangedError, match="artifact changed since it was read"):
        Packer(tmp_path / "packed").packed(source, DIGEST, suffix)
    assert list((tmp_path / "packed").iterdir()) == []


def test_what_nobody_used_for_a_month_goes(tmp_path: Path) -> None:
    packer = Packer(tmp_path / "packed")

    def put(content: bytes) -> Path:
        (tmp_path / "source").write_bytes(content)
        return packer.packed(tmp_path / "source", hashlib.sha256(content).hexdigest(), ZSTD).path

    old, used = put(b"old"), put(b"used")
    month_ago = time.time() - 31 * 24 * 3600
    for path in (old, used):
        os.utime(path, (month_ago, month_ago))
    put(b"used")
    put(b"new")
    assert not old.exists()
    assert used.exists()
