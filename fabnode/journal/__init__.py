"""A run as people see it: nodes worked on side by side, progress, the journal, the report."""
