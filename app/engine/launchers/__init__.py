"""Where the commands of the engine run, one file each."""
