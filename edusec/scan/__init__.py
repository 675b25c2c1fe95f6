"""`edusec scan` without any collector: targets, one run by the agent's runner, judgement, output, local results."""
