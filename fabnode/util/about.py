"""Version of fabnode."""

VERSION = "0.1.0"
