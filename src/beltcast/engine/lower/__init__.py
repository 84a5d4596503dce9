"""From the syntax tree to a program: ordered equations over numbered rows."""
