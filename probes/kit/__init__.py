"""What probes are made with: the contract, the registry, options, scope and the guarded sending layer."""
