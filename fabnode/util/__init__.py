"""Utilities for all rooms: errors, problems, YAML, safe text, fan-out, option types, data files."""
