"""The process that makes the requests of virtual users, on any machine."""
