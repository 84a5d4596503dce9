"""How outputs depend on constants."""
