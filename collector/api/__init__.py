"""The HTTP interface: who may ask, what is bounded before it is read, and how every refusal looks."""
