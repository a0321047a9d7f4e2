"""The peerer: which WireGuard peers the nodes of one importing cluster should have."""
