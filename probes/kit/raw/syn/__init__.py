"""The SYN scan, from blocks of pairs down to the sockets of a lane; its door is `client.run`, or `blocks.SynSweep`."""
