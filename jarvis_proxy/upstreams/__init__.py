"""The upstreams: each describes requests and translates answers; none does IO."""
