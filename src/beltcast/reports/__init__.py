"""Reports and exports: text, JSON, HTML, PDF and tables."""
