"""What differs between releases of Kubernetes and its runtimes, and what fits what. Pure."""
