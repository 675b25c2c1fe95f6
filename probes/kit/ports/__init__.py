"""What a scan of TCP ports is, whatever engine makes it: blocks of work, their order, and what silence means."""
