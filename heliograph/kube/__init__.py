"""The adapter to Kubernetes: small typed objects, list and watch, guarded writes.

Only `heliograph.kube.lean` imports kubernetes_asyncio, for credentials and the HTTP session; its
models cost 30 to 60 times more than the Structs here and never enter.
"""
