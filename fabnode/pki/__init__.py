"""Keys, certificates, kubeconfigs and the verdict on signing requests. Pure: no I/O."""

import warnings

# Of names longer than X.520 allows: what others send us is judged, not commented on.
warnings.filterwarnings("ignore", "Attribute's length must be")
