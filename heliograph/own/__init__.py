"""What a program knows of objects that it writes: by a watch, and by answers to its requests."""
