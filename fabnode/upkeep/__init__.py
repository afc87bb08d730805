"""Decisions about nodes that are in use: which pods may leave, who owns a cordon. Pure."""
