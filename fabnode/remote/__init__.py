"""Scripts that run on a node (probe, apply, examine): their input, and parsers of their output."""
