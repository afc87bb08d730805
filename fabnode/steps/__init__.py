"""
The steps: what a node must look like, one module per step.

A node step has `NAME`, `HELP` and `desired(inputs) -> resources`, a pure function. The steps that
speak to the API (rbac, approve_csr, calico, verify) say what they want of it just as purely.
Their order stands in `pipeline`, nowhere else; they never import each other.
"""
