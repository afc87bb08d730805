"""The configuration: YAML with line numbers to validated, frozen values. Its only I/O: files."""
