"""One file per protocol: a conversation without sockets that asks a service who it is, and what it says."""
