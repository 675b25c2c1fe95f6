"""The connect engine: complete handshakes, thousands at once, for processes without any privilege."""
