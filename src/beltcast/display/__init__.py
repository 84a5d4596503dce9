"""Display of values and texts: short text and HTML, numbers, two languages, fonts, line charts."""
