"""What a scan found, as lines: facts, what the rules say of them, what changed since earlier ones."""
