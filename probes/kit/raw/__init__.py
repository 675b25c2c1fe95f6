"""The raw SYN engine: a short-lived helper process with CAP_NET_RAW, and the door to it (`probes.kit.raw.client`)."""
