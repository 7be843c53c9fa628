"""A handler for each kind of address. IO."""
