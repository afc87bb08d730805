"""What every room may use: problems, YAML, safe text, fan-out, option types, data files."""
