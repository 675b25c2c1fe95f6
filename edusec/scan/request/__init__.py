"""What was asked for: targets, ports, profiles, flags, checked as a whole before anything is sent."""
