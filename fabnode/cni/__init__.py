"""Pod networks that fabnode installs, and which one a configuration asks for. No I/O of its own."""
