"""Forecasters of a published series that the model is compared with."""
