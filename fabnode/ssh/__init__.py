"""All that goes over SSH: connections, the probe, the plan, and carrying it out."""
