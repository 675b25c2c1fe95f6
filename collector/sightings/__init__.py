"""What sections say: their pictures, addresses, coverage and samples, read with care and compared. Pure."""
