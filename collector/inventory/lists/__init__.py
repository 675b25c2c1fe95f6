"""The inventory as people ask for it: pages, searches, sites, drift, measurements."""
