"""What is kept in the local file: results, unfinished scans, how both are read again."""
