"""Pure judgement: rules as data, a loader that names every fault, and an evaluation without side effects."""
