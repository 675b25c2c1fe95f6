"""The ground floor: the types that cross the network, and their codec. Standard library only."""
