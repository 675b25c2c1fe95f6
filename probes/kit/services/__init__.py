"""How services are asked who they are: what chooses, holds and reads conversations, and in `protocols` the words."""
