"""Whether a host is the machine of a Node, by what both say of themselves."""

from __future__ import annotations

import pytest

from fabnode.node.machine_ids import MachineIds, at_home, match

UUID, OTHER_UUID = "4c4c4544-0000-1000-8000-000000000001", "4c4c4544-0000-1000-8000-000000000002"
NO_UUID = "00000000-0000-0000-0000-000000000000"


def ids(machine: str = "m1", boot: str = "b1", hardware: str = UUID) -> MachineIds:
    return MachineIds.of(machine, boot, hardware)


HOST = ids()
CASES = {
    "the same in all": (ids(), {}, False, "same", ""),
    "written otherwise": (ids(" M1\n", "b1", UUID.upper()), {}, False, "same", ""),
    "it has rebooted": (ids(boot="b0"), {}, False, "same", ""),
    "its UUID is not known": (ids(boot="b0", hardware=""), {}, False, "same", ""),
    "other hardware": (
        *(ids("m2", "b0", OTHER_UUID), {}, False, "other"),
        "the Node has the machine-id m2, the host m1",
    ),
    "a container on the same kernel": (
        *(ids("m2"), {}, False, "other"),
        "the Node has the machine-id m2, the host m1",
    ),
    "another node's machine": (
        *(ids("m2", "b0", OTHER_UUID), {"n2": ids()}, False, "other"),
        "the Node has the machine-id m2, the host m1, which is that of the node n2",
    ),
    "a clone": (
        *(ids(boot="b0", hardware=OTHER_UUID), {}, False, "other"),
        f"the Node has the system UUID {OTHER_UUID}, the host {UUID}, and both the same machine-id,"
        " as clones have",
    ),
    "a clone that is a node as well": (
        *(ids(boot="b0", hardware=OTHER_UUID), {"n2": ids()}, False, "other"),
        f"the Node has the system UUID {OTHER_UUID}, the host {UUID}, which is that of the node n2",
    ),
    "a clone whose maker gives one UUID to all": (
        *(ids(boot="b0"), {"n2": ids(boot="b2")}, False, "unknown"),
        "the Node n2 has the same machine-id and system UUID, as clones have",
    ),
    "clones, and it is in the Node's boot": (ids(), {"n2": ids(boot="b2")}, False, "same", ""),
    "a clone that is told by its boot alone": (
        *(ids(boot="b0", hardware=""), {}, True, "other"),
        "the Node has the boot id b0, the host b1, and both the same machine-id, as clones have; or"
        " it has rebooted just now, and tells of it in a minute",
    ),
    "the Node has no nodeInfo": (
        *(MachineIds(), {}, False, "unknown"),
        "the Node has no machine-id",
    ),
    "the Node's machine-id is empty": (
        *(ids("", "b0"), {}, False, "unknown"),
        "the Node has no machine-id",
    ),
    "of an image that never booted": (
        *(ids("uninitialized", "b0"), {}, False, "unknown"),
        "the Node has no machine-id",
    ),
    "no machine-id, and the same boot": (ids(""), {}, False, "same", ""),
    "no machine-id, on a kernel that others share": (
        *(ids(""), {"n2": ids("")}, False, "unknown"),
        "the Node n2 has the same system UUID and boot id, as clones have",
    ),
}


@pytest.mark.parametrize(("node", "others", "reports", "kind", "why"), CASES.values(), ids=CASES)
def test_a_host_is_matched_with_a_node(
    node: MachineIds, others: dict[str, MachineIds], reports: bool, kind: str, why: str
) -> None:
    found = match(HOST, node, others, reports=reports)
    assert (found.kind, found.why) == (kind, why)


def test_neither_side_has_a_machine_id() -> None:
    found = match(ids("", "b1", ""), ids("", "b0", ""), {}, reports=False)
    assert (found.kind, found.why) == ("unknown", "the host and the Node have no machine-id")


def test_what_is_no_id_is_none() -> None:
    assert MachineIds.of("0" * 32, None, NO_UUID) == MachineIds()
    assert MachineIds.of("a b", "x\x1b[1m", "-" * 36) == MachineIds()


@pytest.mark.parametrize(
    ("nodes", "name"),
    [
        ({"n1": ids("m2"), "n2": ids()}, "n2"),
        ({"n1": ids(boot="b0"), "n2": ids("m2")}, "n1"),
        ({"n1": ids(boot="b0", hardware=OTHER_UUID)}, ""),  # a clone of it
        ({"n1": ids("", "b1")}, ""),  # on the same kernel
        ({"n1": ids(boot="b0"), "n2": ids(boot="b0")}, ""),
    ],
)
def test_whose_machine_a_host_is(nodes: dict[str, MachineIds], name: str) -> None:
    assert at_home(HOST, nodes) == name
