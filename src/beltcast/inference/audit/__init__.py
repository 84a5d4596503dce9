"""Audits of a fit: what the observations do and do not determine."""
