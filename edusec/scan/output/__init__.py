"""How a scan is shown and handed over: tables, forms of files, what it would send."""
