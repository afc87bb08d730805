"""The command line: options to a run, progress, tables, plans, reports, errors to exit codes."""
