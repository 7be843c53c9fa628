"""One call on its way: retry loop, attempt, client stream, deadlines. IO."""
