"""Runs commands as jobs of a Slurm cluster, reached over SSH."""
