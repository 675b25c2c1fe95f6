"""Zones at their own name servers: the questions over each family, and the checks on the answers (DNS-*)."""
