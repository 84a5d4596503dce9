"""What the functions of both dialects mean, in primitives that every back end knows."""
