"""Which clusters an importing cluster takes part with: ranges of two of them never overlap."""
