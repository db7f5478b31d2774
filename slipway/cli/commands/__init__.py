"""The commands, one module a word; each is imported when its word was typed."""
