"""Preflight: what is found in a set of clusters, and what that means for joining them."""
