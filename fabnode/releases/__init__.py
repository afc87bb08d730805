"""Release data: differences between releases of Kubernetes and runtimes, compatibility. Pure."""
