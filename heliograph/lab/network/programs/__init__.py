"""Programs that run inside, by their paths; nothing here is imported."""
