"""Tables that people hand in and get: CSV, TSV and XLSX, read and written within bounds."""
