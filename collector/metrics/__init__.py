"""What Prometheus is told: metrics, stock, and where to scrape."""
