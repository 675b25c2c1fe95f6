"""`edusec up`: a collector and one agent on this machine, as a newcomer's first look."""
