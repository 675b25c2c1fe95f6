"""What this machine itself tells, from /proc, rtnetlink and nftables' own listing; nothing here sends a packet."""
