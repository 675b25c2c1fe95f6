"""What was found: assets, services and sites, with their identity, their three states and their history."""
