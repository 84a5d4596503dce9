"""Choose policies under uncertainty."""
