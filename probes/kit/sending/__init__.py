"""The guarded sending layer: every packet leaves through here, at a pace, after a check of the scope."""
