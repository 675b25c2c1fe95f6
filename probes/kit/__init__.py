"""What probes are made with: the contract and the options for their authors, and rooms, each on those below it."""
