"""What fabnode talks about: settings, facts, resources, releases. Its only I/O: reading files."""
