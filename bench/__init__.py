"""How fast fabnode is, measured on a lab: `make bench` and `make bench-scale`."""
