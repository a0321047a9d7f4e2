"""The reflector: which mirrors should my cluster have? It keeps Services and EndpointSlices.

consume.py (I/O) -> table.py -> desired.py -> plan.py (pure, with own.py) -> apply.py (I/O)
"""
