"""Reading and writing files: text, TOML, results that appear only when complete."""
