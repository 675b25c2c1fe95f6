"""What waits for the next round of judging: filled by whoever changed something, emptied by the schedule's thread."""

import threading
from collections import deque
from datetime import date


class Due:
    """Lists of what is to be judged anew, by kind, and a bell. One thread may append while another takes."""

    def __init__(self) -> None:
        """Start with nothing to do."""
        self.agents: deque[str] = deque()
        self.units: deque[str] = deque()
        self.levels: deque[str] = deque()
        """Units whose IPv6 levels are to be counted again."""
        self.systems: deque[str] = deque()
        """Unit and name of information systems, joined by a colon."""
        self.exposures: deque[str] = deque()
        """Units where a place of declared vantage said something, or fell silent."""
        self.days: deque[tuple[str, date]] = deque()
        """Units, and days of which traffic was counted."""
        self._bell = threading.Event()

    def wake(self) -> None:
        """Let the next round begin now."""
        self._bell.set()

    def wait(self, seconds: float) -> None:
        """Wait for the bell, or at most so long."""
        self._bell.wait(seconds)
        self._bell.clear()
