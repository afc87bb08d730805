#!/bin/sh
# Quantities below a thousandth, as metrics-server reports them, in two Python clients:
# kubernetes 37.0.2 (kubernetes.utils.parse_quantity), lightkube 1.0.1 (lightkube.utils.quantity).
#
# One would guess: both read what apimachinery's resource.Quantity defines, with the suffixes n, u, m
#   and exponents written with e or E. The metrics API gives a container's CPU in n: "2513741n".
# What happens: kubernetes reads all of them; lightkube knows neither n nor u nor E with a number,
#   so that comparing usage with a limit ends with an error, and it rounds to thousandths upwards:
#   0.5m is read as 1m, twice as much.
# Seen:
#              2513741n      250u          1E3         0.5m
#   kubernetes 0.002513741   0.00025       1000        0.0005
#   lightkube  ValueError    ValueError    ValueError  0.001
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check kubernetes==37.0.2 \
    lightkube==1.0.1 lightkube-models==1.37.0.8

cd / && "$work/venv/bin/python" - <<'END'
from decimal import Decimal

from kubernetes.utils import parse_quantity as official
from lightkube.utils.quantity import equals_canonically, parse_quantity as of_lightkube


def outcome(read, text):
    try:
        return read(text)
    except ValueError:
        return "ValueError"


GIVEN = ["2513741n", "250u", "1E3", "0.5m"]
EXPECTED = {
    official: [Decimal("0.002513741"), Decimal("0.00025"), Decimal(1000), Decimal("0.0005")],
    of_lightkube: ["ValueError", "ValueError", "ValueError", Decimal("0.001")],
}
for read, expected in EXPECTED.items():
    seen = [outcome(read, text) for text in GIVEN]
    print(f"{read.__module__:27}", *map(str, seen))
    assert seen == expected, "it is otherwise now"
# Its comparison takes the two for equal, though the first is half of the second.
assert equals_canonically({"cpu": "0.5m"}, {"cpu": "1m"}), "it is otherwise now"
END
