"""What people decided about a cluster's part in the ClusterSet: a ConfigMap of that cluster.

Kubernetes is the source of truth here too: what is said once holds over restarts, is guarded by
Kubernetes' own rights, and can be read and mended with kubectl.
"""
