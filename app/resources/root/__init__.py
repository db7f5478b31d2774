"""The root API: workflows, executions, logs and SSH keys, at addresses without a prefix."""
