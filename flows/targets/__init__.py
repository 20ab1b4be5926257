"""Where traffic weights are changed: Envoy's files, Kubernetes objects, manifests in git."""
