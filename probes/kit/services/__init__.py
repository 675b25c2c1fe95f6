"""How services are asked who they are: one file per protocol, each a conversation without sockets."""
