"""The main job, shown to a person step by step, on clusters of the laboratory."""
