"""The demo with real packets: two clusters in a laboratory's network, joined by our own tunnels."""
