"""SQL text as package data."""
