"""Runs over many nodes: deployment, rotation, hardening, and what each does with API and nodes."""
