"""
The steps: parts of a node's desired state, one module per step.

Each module ends with its `STEP` (see `step.py`). That of a node step has a pure function
`desired(inputs) -> resources`. The steps that speak to the API (rbac, approve_csr, pod_network,
verify with `checks/`) return what they want of it just as purely. Their order is `order.STEPS`;
they never import each other.
"""
