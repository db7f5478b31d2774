"""``/events`` of the root API: one stream of many topics, each with a cursor of its own."""
