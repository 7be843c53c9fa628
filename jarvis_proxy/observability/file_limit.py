"""Limits of this process: open files and core dumps. IO (asks the system).

Linux and macOS have the module ``resource``. Elsewhere there is no limit to read or set.
"""

import contextlib

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

NO_LIMIT = 2**31 - 1


def max_files() -> int:
    """Return how many files may be open, NO_LIMIT if the system sets no limit."""
    if resource is None:
        return NO_LIMIT
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return NO_LIMIT if soft == resource.RLIM_INFINITY else soft


def raise_max_files(wanted: int) -> None:
    """Allow *wanted* open files, up to the hard limit; never lower the limit."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def disable_core_dumps() -> None:
    """Disable core dumps, which would contain keys and content."""
    if resource is not None:
        # A service manager may have forbidden it.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
