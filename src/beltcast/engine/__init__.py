"""A general compiler of stock-flow models, from a model file to vector code."""
