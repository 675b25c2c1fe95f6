"""The far end of bandwidth tests: a process of its own beside the collector, who may test and how much, the bytes."""
