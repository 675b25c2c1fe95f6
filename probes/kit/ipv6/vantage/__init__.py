"""What this machine itself has of IPv6: the gate before others are judged, and the checks of its path (NET-*)."""
