"""Questions to UDP services: what one is, and one harmless question for each protocol."""
