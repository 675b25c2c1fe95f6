"""What may be probed: the authorised entries, the file that keeps them, and the targets that people write."""
