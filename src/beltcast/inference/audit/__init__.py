"""What the observations do and do not determine."""
