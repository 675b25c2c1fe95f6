"""Evidence and details in Chinese: the phrases that reports carry, and how a line of them is read."""
