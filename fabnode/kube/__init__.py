"""All traffic to the Kubernetes API: plain HTTPS, one pool, watches that serve all nodes."""
