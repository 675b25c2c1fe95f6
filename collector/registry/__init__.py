"""Who and what is registered: the unit tree, whitelists, agents with their enrolment, people with their roles."""
