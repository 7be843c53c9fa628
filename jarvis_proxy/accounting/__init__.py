"""What calls used and cost: usage, prices, the SQLite store."""
