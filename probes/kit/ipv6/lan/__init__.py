"""The first hop of IPv6: what is announced, answered and spoken on a link, heard by a helper without privileges."""
