"""The contract between clusters: names, subjects, messages, headers. Pure vocabulary, no I/O."""
