"""Why a node does not work: evidence, causes in the order of what explains what, one fix each."""
