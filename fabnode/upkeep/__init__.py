"""Decisions about nodes that are in use: who may leave, whose a cordon is, what is due. Pure."""
