"""What reaches the operator: safe text, tables and lists, progress, words."""
