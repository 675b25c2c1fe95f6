"""What is held in memory from the start and replaced only after a commit, and what waits to be judged."""
