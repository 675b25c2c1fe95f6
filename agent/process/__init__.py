"""Processes of our own: how they are started and ended, and what they give up."""
