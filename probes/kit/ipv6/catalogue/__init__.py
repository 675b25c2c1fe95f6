"""The words of every IPv6 check: title, source, causes and mends, in both languages."""
