"""The daemon on a school's gateway: schedule, probe runner, spool, uplink. Small, closed, and it loses no report."""
