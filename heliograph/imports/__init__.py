"""Reads what other clusters publish, into tables: what is absent is gone only by evidence."""
