"""Why a node is not of use: evidence, causes in the order of what explains what, one fix each."""
