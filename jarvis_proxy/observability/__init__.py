"""Observability: log, metrics, live statistics, traces, the event loop's lag."""
