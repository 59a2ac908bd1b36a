"""Stores: where runs are kept. `MemoryStore` in `cardanalysis.stores.memory`, `SQLiteStore` in `.sqlite`."""
