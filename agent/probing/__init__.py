"""How a probe is run: the job, the guard and the worker that are its processes, and the section that comes of it."""
