"""What was observed and not yet acknowledged, on disk, and the form in which sections lie there."""
