"""The store: one small interface, the SQLite engine behind it, and the migrations of its schema."""
