"""IPv6 readiness as people and Prometheus ask for it: the report, lists of sites and failures, gauges."""
