"""The whole ClusterSet at a glance: what is on a bus, and what the programs say of themselves."""
