"""The words of Slurm: its command lines, and what their texts say. Nothing here runs anything."""
