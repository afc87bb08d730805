"""Kubernetes' own end-to-end tests, run on nodes that fabnode makes: `make conformance`."""
