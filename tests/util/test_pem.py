"""PEM files as people have them: what Go's reader sees of them is seen, and nothing else."""

from __future__ import annotations

import time

import pytest

from fabnode.util import pem
from tests.support import authority
from tests.support import pem as pem_of

ONE, TWO = pem_of(authority("one")[0]), pem_of(authority("two")[0])
BOM = b"\xef\xbb\xbf"
HEADED = ONE.replace(b"CERTIFICATE-----\n", b"CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n\n", 1)


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        pytest.param(ONE, [ONE], id="one"),
        pytest.param(ONE + TWO, [ONE, TWO], id="a chain"),
        pytest.param(ONE + b"\n\n" + TWO.rstrip(), [ONE, TWO], id="blank lines, no end of line"),
        pytest.param("# Prüfstelle\n".encode() + ONE + b"\xff\n" + TWO, [ONE, TWO], id="text"),
        pytest.param(b"Certificate:\n    Data:\n        Version: 3\n" + ONE, [ONE], id="-text"),
        pytest.param((ONE + TWO).replace(b"\n", b"\r\n"), [ONE, TWO], id="CRLF"),
        pytest.param(b"\n" + BOM + b"\n" + ONE, [ONE], id="a BOM on a line of its own"),
        pytest.param(BOM + ONE, [], id="a BOM before it"),
        pytest.param(BOM + ONE + TWO, [TWO], id="a BOM before the first"),
        pytest.param(b" " + ONE, [], id="a blank before it"),
        pytest.param(ONE.replace(b"CERT", b"TRUSTED CERT"), [], id="OpenSSL's own form"),
        pytest.param(HEADED, [], id="with headers"),
        pytest.param(b"-----BEGIN X-----\n" + ONE, [ONE], id="another block's begin"),
        pytest.param(ONE.replace(b"MII", b"M*I"), [], id="no base64"),
        pytest.param(b"", [], id="empty"),
    ],
)
def test_certificates_are_those_that_go_sees(content: bytes, seen: list[bytes]) -> None:
    assert pem.certificates(content).encode() == b"".join(seen)


def test_a_block_is_written_as_others_write_it() -> None:
    (block,) = pem.blocks(b"x\n" + ONE)
    assert block.pem == ONE


@pytest.mark.parametrize("line", [b"a: b\n", b"-----BEGIN A-----\n", b"AAAA\n", b"-----BEGIN A\n"])
def test_time_grows_with_size_alone(line: bytes) -> None:
    began = time.process_time()
    assert pem.blocks(b"-----BEGIN A-----\n" + line * (2**20 // len(line))) == []
    assert time.process_time() - began < 2
