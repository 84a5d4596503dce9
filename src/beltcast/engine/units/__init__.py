"""Units of equations, and the check that they agree."""
