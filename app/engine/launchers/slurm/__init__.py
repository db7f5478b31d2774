"""Jobs of a Slurm cluster that is reached over SSH, behind the contract of launchers."""
