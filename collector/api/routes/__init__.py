"""The routes, by what they are about; `table.py` lists them all."""
