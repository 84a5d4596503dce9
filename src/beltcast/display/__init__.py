"""How values show themselves: short text and HTML for notebooks, fonts, colours, line charts."""
