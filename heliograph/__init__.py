"""Heliograph: independent Kubernetes clusters use each other's Services as if they were their own.

This package holds what the programs share: the contract (vocabulary), the adapters to Kubernetes,
NATS and telemetry, the command line, and the laboratory. The programs are in `services`.
"""

__version__ = "0.1.0"
