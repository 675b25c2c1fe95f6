"""Sites over each family apart: what fetches their pages, and the checks on what was seen (WEB-*)."""
