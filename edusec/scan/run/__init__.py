"""The work of a scan: batches of jobs, one after the other, joined into one section."""
