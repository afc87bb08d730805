"""Keys, certificates, kubeconfigs and the verdict on signing requests. Pure: no I/O."""
