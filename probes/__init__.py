"""One file per probe: what measures. `probes.kit` holds what they share: contract, registry, sending layer, pacing."""
