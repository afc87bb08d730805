"""A real Kubernetes control plane and bare SSH hosts, all on this one machine."""
