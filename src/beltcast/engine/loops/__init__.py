"""Feedback loops of a model, and the scores of their links."""
