"""The centre: it takes reports in, keeps the three-tier inventory, judges it, and answers people and Prometheus."""
