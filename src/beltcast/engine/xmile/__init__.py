"""XMILE documents to the syntax tree."""
