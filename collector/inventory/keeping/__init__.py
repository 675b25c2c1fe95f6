"""How the word of sections becomes assets, services and sites, with a history."""
