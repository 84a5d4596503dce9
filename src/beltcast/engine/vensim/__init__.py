"""Vensim text (.mdl) to the syntax tree, with PySD's parser."""
