"""Findings about existing nodes and their repairs, concluded from evidence. Pure."""
