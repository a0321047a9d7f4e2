"""The watcher: what does my cluster offer? It publishes nodes and exported Services on the bus.

watch.py (I/O) -> table.py, announce.py (pure) -> publish.py (I/O)
"""
