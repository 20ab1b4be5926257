"""Mesh and rollout manifests: what split they configure, and what is wrong with them."""
