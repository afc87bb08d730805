"""SSH: connections, commands as root, port checks, host keys, passwords."""
