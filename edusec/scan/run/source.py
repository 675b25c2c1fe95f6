"""Where the sections of a scan come from: this machine's runner, or whatever else takes a job and gives a section.

A source is called with one job after the other. It passes on how far the job is and what it finds as it comes, ends it
early once `stop` is set, keeping what it has, and gives the section that came of it, with its body. It raises Stop
(edusec.exits) when there is no section at all.
"""

import threading
from collections.abc import Callable

from agent.probing.job import Job
from agent.probing.runner import run
from probes.kit.contract import Yield
from wire.types import Section

Tell = Callable[[Yield], None]
Source = Callable[[Job, Tell, threading.Event], Section]


def local(job: Job, tell: Tell, stop: threading.Event) -> Section:
    """Run a job on this machine."""
    return run(job, on_progress=tell, on_found=tell, stop=stop)
