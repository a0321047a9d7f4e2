"""The command line: arguments in, exit code out. The only importer of cyclopts and rich."""
