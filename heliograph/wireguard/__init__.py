"""WireGuard on this machine: its vocabulary, and the adapters that read and write it."""
