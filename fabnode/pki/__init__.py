"""Keys, certificates, kubeconfigs, and the policy for signing requests. Pure: no I/O."""

import warnings

# Silence warnings about names longer than X.520 allows: they come from others' certificates.
warnings.filterwarnings("ignore", "Attribute's length must be")
