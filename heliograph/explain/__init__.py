"""Why a Service of one cluster is not there in another: the chain between them, link by link.

Modules beside `reading`, `listening` and `gathering` are pure; nothing here writes anything.
"""
