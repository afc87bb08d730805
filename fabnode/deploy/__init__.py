"""The two sides of a run, the cluster's API and each of the nodes, in the steps' own terms."""
