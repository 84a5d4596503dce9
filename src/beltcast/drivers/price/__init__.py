"""What a unit of output costs under a policy."""
