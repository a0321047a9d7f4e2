"""Kilo's vocabulary and rules, as of version 0.7: its nodes' annotations, its mesh, its Peers."""
