"""Charts and diagrams in one style."""
