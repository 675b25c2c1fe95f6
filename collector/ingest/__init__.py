"""What changes the inventory and has it judged: reports, scans of others, corrections; and the policy in reply."""
