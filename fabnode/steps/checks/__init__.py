"""
What verify checks, a module per subject: judgements of what was observed on hosts and at the API.

Nothing here asks a host or the API: `deploy/verification.py` and `deploy/network_probe.py` do, and
hand over what they got.
"""
