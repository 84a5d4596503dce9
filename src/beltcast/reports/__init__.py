"""What leaves the package as text, JSON, HTML or PDF."""
