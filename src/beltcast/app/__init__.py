"""The page of a fitted study: one HTML file with the model inside.

``page_model`` compiles the model to WebAssembly and lays out its memory, ``page_data`` collects
numbers, draws and texts, ``page_diagram`` draws the model, and ``page`` puts them into one file
with the script that ``web/`` holds and ``assets/`` ships.
"""
