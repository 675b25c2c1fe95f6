"""What people register and approve: the unit tree, agents, people, whitelists, the register."""
