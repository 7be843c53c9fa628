"""What can be seen from outside: log, metrics, live statistics, the event loop's lag."""
