"""Which feedback loops dominate, and when."""
