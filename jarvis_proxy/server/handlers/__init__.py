"""The handlers, one for each kind of endpoint. IO."""
