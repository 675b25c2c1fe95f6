"""Facts for the rules, verdicts, and alerts from them."""
