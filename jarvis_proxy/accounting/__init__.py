"""Accounting: usage, prices, budgets, the SQLite store."""
