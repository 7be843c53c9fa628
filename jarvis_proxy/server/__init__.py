"""The shell that faces downstream clients."""
