"""Runs several processes on one port, and the parent that keeps them alive."""
