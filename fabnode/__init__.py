"""Turns hosts reachable over SSH into Kubernetes worker nodes."""

__version__ = "0.1.0"
