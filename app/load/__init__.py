"""Virtual users: definitions, and what runs them on slaves."""
