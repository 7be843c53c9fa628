"""The upstreams: they describe requests and translate answers, without IO."""
