"""Raw packets: a short-lived helper process with CAP_NET_RAW, and its two kinds of work, SYN scans and links."""
