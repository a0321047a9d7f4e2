"""The laboratory: clusters to try things on, for the demo, the tests and anyone's experiments.

Nothing here runs beside a production cluster; programs never import it.
"""
