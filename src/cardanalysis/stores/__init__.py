"""cardanalysis."""
