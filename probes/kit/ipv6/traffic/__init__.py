"""Bytes by address family (TRF-*): what counts them, and the arithmetic on what was counted."""
