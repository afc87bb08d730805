"""
Names in the API that are fabnode's own.

Keys of Node annotations and a label, which the configuration may not set, and the namespace of the
pods with which `inv verify` tries the network.
"""

NODE_RECORD = "fabnode.io/record"
NODE_SEAL = "node-restriction.kubernetes.io/fabnode-record"
NODE_OPERATION = "fabnode.io/operation"
"""See `deploy/node_metadata.py` for record and seal, `upkeep/operations.py` for the operation."""

PROBE_NAMESPACE = "fabnode-verify"
