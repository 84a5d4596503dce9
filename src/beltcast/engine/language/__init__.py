"""Functions of both dialects, written in primitives that every back end implements."""
