"""Benchmarks, each beside the floor measured in the same run: what the API servers alone cost.

Figures are for people and for `docs/performance.md`; no test asserts them.
"""
