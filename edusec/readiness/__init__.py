"""What `edusec ipv6` shares between its commands: verdicts as lines, and a look at this machine's own IPv6."""
