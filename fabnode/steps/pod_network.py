"""The step that installs the pod network. Which one that is, `cni/registry.py` knows."""

from .step import Scope, Step

# Named for the one network there is: journals, reports and sites' own steps use it.
STEP = Step("calico", "Apply Calico and wait for it.", Scope.CLUSTER)
