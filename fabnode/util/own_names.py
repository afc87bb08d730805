"""
Names in the API that are fabnode's own.

Keys of Node annotations and a label, which the configuration may not set; that of an annotation of
a pod network's workload; and the namespace of the pods with which `inv verify` tries the network.
"""

NODE_RECORD = "fabnode.io/record"
NODE_SEAL = "node-restriction.kubernetes.io/fabnode-record"
NODE_OPERATION = "fabnode.io/operation"
"""See `deploy/node_metadata.py` for record and seal, `upkeep/operations.py` for the operation."""

NETWORK_BEFORE = "fabnode.io/before"
"""See `deploy/network_before.py`."""

PROBE_NAMESPACE = "fabnode-verify"
