"""The roof: the command line of county operators, and what puts agent and collector together on one machine."""
