"""The programs, one package each, with equal file names; they never import each other."""
