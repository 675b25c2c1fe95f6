"""What runs by the clock: which tasks are in force, when each is due, and the runs that are under way."""
