"""All that is said to the collector and by it: who both are, the processes that speak TLS, and the reports."""
