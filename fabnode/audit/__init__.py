"""What is wrong with an existing node, and what mends it: judged from evidence. Pure."""
