"""What several processes share through Redis or Valkey: limits, quarantine, signatures, usage."""
