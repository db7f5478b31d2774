"""HTTP: one file an API, and what they share in the files that begin with an underscore."""
