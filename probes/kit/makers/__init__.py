"""Who made a network card, by the prefix of its MAC; the lists are an operator's, none is part of this project."""
