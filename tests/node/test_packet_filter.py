"""Which rules are Kubernetes', and that nothing of anybody else's is touched."""

from __future__ import annotations

import pytest

from fabnode.node.packet_filter import FilterPart, parts

CALICO = {"prefixes": ("cali-",), "networks": ("k8s-pod-network",)}

# What a node with docker, an admin's chain and both of Kubernetes' writers holds.
NAT = """\
*nat
:PREROUTING ACCEPT
:INPUT ACCEPT
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
:DOCKER -
:KUBE-KUBELET-CANARY -
:KUBE-MARK-MASQ -
:KUBE-POSTROUTING -
:KUBE-SEP-ABCDEFGHIJKLMNOP -
:KUBE-SERVICES -
:cali-POSTROUTING -
:cali-nat-outgoing -
-A PREROUTING -m comment --comment "cali:6gwbT8clXdHdC1b1" -j cali-PREROUTING
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -m comment --comment "cali:O3lYWMrLQYEMJtB5" -j cali-POSTROUTING
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-SERVICES -d 10.0.0.1/32 -j KUBE-SEP-ABCDEFGHIJKLMNOP
COMMIT
"""

FILTER = """\
*filter
:INPUT DROP
:FORWARD ACCEPT
:cali-INPUT -
:cali-fw-cali0123456789a -
:KUBE-FIREWALL -
:ADMIN -
-A INPUT -m comment --comment "cali:Cz_u1IQiXIMmKD4c" -j cali-INPUT
-A INPUT -j KUBE-FIREWALL
-A INPUT -s 192.0.2.0/24 -m comment --comment "see KUBE-FIREWALL, -j KUBE-FIREWALL" -j ADMIN
-A FORWARD -m comment --comment "cali:S93hcgKJrXEqnTfs" -m comment --comment "Policy explicitly accepted packet." -m mark --mark 0x10000/0x10000 -j ACCEPT
-A FORWARD -m comment --comment "cali: an admin's own words" -j ACCEPT
-A ADMIN -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
"""  # noqa: E501


def part(text: str, **about: tuple[str, ...]) -> FilterPart:
    (one,) = parts(text.splitlines(), **(about or CALICO))
    return one


def test_nat_of_a_node() -> None:
    found = part(NAT.replace(":cali-nat-outgoing -", ":cali-nat-outgoing -\n:cali-PREROUTING -"))
    assert found.rules == (
        '-A PREROUTING -m comment --comment "cali:6gwbT8clXdHdC1b1" -j cali-PREROUTING',
        '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        '-A POSTROUTING -m comment --comment "cali:O3lYWMrLQYEMJtB5" -j cali-POSTROUTING',
    )
    assert set(found.chains) == {
        *("KUBE-KUBELET-CANARY", "KUBE-MARK-MASQ", "KUBE-POSTROUTING", "KUBE-SERVICES"),
        *("KUBE-SEP-ABCDEFGHIJKLMNOP", "cali-POSTROUTING", "cali-PREROUTING", "cali-nat-outgoing"),
    }
    assert found.conflicts == ()
    assert found.foreign == (
        *(":PREROUTING ACCEPT", ":INPUT ACCEPT", ":OUTPUT ACCEPT", ":POSTROUTING ACCEPT"),
        ":DOCKER -",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        "-A DOCKER -i docker0 -j RETURN",
    )


def test_what_restores_gets_only_what_is_ours() -> None:
    lines = part(NAT).restore_input().splitlines()
    assert lines[0] == "*nat"
    assert lines[-1] == "COMMIT"
    assert lines[1] == (
        '-D PREROUTING -m comment --comment "cali:6gwbT8clXdHdC1b1" -j cali-PREROUTING'
    ) or lines[1].startswith("-D PREROUTING")
    flushed = [line[3:] for line in lines if line.startswith("-F ")]
    assert flushed == [line[3:] for line in lines if line.startswith("-X ")]
    assert not set(flushed) & {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING", "DOCKER"}
    kinds = [line.split()[0] for line in lines[1:-1]]
    assert kinds == sorted(kinds, key=["-D", "-F", "-X"].index), "jumps first, chains last"


def test_filter_of_a_node() -> None:
    found = part(FILTER)
    assert [rule[:40] for rule in found.rules] == [
        '-A INPUT -m comment --comment "cali:Cz_u',
        "-A INPUT -j KUBE-FIREWALL",
        '-A FORWARD -m comment --comment "cali:S9',
    ]
    assert set(found.chains) == {"cali-INPUT", "cali-fw-cali0123456789a", "KUBE-FIREWALL"}
    assert ":INPUT DROP" in found.foreign, "a policy is never changed"
    assert sum(line.startswith("-A") for line in found.foreign) == 3


def test_a_chain_of_somebody_elses_that_leads_to_ours_is_a_conflict() -> None:
    rule = "-A ADMIN -j KUBE-FIREWALL"
    found = part(FILTER.replace("COMMIT", f"{rule}\nCOMMIT"))
    assert found.conflicts == (rule,)
    assert rule in found.foreign


@pytest.mark.parametrize(
    "chain",
    ["KUBERNETES", "KUBE", "kube-services", "MY-KUBE-X", "cali", "calico", "CALI-X", "CNI-abcdef"],
)
def test_names_that_only_look_like_it_are_others(chain: str) -> None:
    text = f"*nat\n:PREROUTING ACCEPT\n:{chain} -\n-A PREROUTING -j {chain}\nCOMMIT\n"
    found = part(text)
    assert not found
    assert found.foreign == (":PREROUTING ACCEPT", f":{chain} -", f"-A PREROUTING -j {chain}")


def test_without_a_pod_network_of_fabnodes_its_chains_are_others() -> None:
    assert part(FILTER, prefixes=()).chains == ("KUBE-FIREWALL",)


@pytest.mark.parametrize("others", [False, True])
def test_mapped_ports_go_with_their_network_and_shared_chains_only_with_the_last(
    others: bool,
) -> None:
    lines = [
        "*nat",
        ":PREROUTING ACCEPT",
        ":CNI-HOSTPORT-DNAT -",
        ":CNI-DN-00ff -",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
        '-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"k8s-pod-network\\" id:'
        ' \\"c1\\"" -m multiport --dports 80 -j CNI-DN-00ff',
        "-A CNI-DN-00ff -p tcp -j DNAT --to-destination 10.1.0.5:80",
    ]
    podman = [
        ":CNI-DN-11aa -",
        '-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"podman\\" id: \\"c2\\""'
        " -j CNI-DN-11aa",
    ]
    (found,) = parts([*lines, *(podman if others else []), "COMMIT"], **CALICO)
    assert ("CNI-DN-00ff" in found.chains) is True
    assert ("CNI-HOSTPORT-DNAT" in found.chains) is not others
    assert ("CNI-DN-11aa" in found.chains) is False
    assert (podman[1] in found.foreign) is others
    assert found.conflicts == ()


def test_a_rule_that_can_not_be_read_is_left() -> None:
    rule = '-A INPUT -m comment --comment "KUBE-x -j KUBE-FIREWALL'
    assert rule in part(FILTER.replace("COMMIT", f"{rule}\nCOMMIT")).foreign


def test_a_node_without_any_is_left_alone() -> None:
    found = part("*filter\n:INPUT ACCEPT\n-A INPUT -j ACCEPT\nCOMMIT\n")
    assert not found
