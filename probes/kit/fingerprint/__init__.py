"""Fingerprints: what an answer says about product, version and device. Data files, their readers, and the matcher."""
