"""The programs with their connections, each alone or several clusters' in one process."""
