"""The release, the same in every room; pyproject.toml names it too, and a test compares them."""

VERSION = "0.1.0"
