"""The agent of one node: it programs WireGuard itself, where no Kilo does."""
