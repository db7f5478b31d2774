"""Who is calling, whatever way they sign in, and what they may do."""
