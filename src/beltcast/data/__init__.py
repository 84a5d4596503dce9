"""Published figures: read, asked of the model, and other people's files."""
