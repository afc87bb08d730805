"""Keys, certificates, kubeconfigs, and the policy for signing requests. Pure: no I/O."""

import warnings

# Silence warnings about what others' certificates have: names longer than X.520 allows, and the
# serial number 0 of the CAs that kubeadm made for years.
warnings.filterwarnings("ignore", "Attribute's length must be")
warnings.filterwarnings("ignore", "Parsed a serial number which wasn't positive")
