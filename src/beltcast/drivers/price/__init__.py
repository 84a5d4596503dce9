"""Cost of a unit of output under a policy."""
