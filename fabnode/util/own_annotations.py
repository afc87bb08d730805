"""Keys of Node annotations and a label that fabnode writes; the configuration may not set them."""

NODE_RECORD = "fabnode.io/record"
NODE_SEAL = "node-restriction.kubernetes.io/fabnode-record"
NODE_OPERATION = "fabnode.io/operation"
"""See `deploy/node_metadata.py` for record and seal, `upkeep/operations.py` for the operation."""
