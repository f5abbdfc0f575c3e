"""The files that `export` writes, for the tools that people have."""
