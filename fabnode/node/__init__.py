"""A node as values: facts, resources, the plan between the two, and its file layout. Pure."""
