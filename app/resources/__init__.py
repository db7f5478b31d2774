"""HTTP: a folder for each API; the files that begin with an underscore are shared."""
