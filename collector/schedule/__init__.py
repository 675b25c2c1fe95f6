"""What only time changes: rounds of judging, and what is forgotten."""
