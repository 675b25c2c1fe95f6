"""A web server behind nginx that fails every so many requests, or takes its time; run by ipv6_lab.py.

counting_web.py FOLDER: GET /NAME/N gives FOLDER/NAME6/index.html, and 503 at each Nth request for NAME (never if N is
0); GET /NAME/N/SECONDS does so only after a while.
"""

import sys
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = Path(sys.argv[1])
SEEN: "Counter[str]" = Counter()


class Handler(BaseHTTPRequestHandler):
    """Counts and serves."""

    def do_GET(self) -> None:
        """Serve a page, or fail when it is its turn."""
        _, name, every, *wait = self.path.split("/")
        SEEN[name] += 1
        time.sleep(float(wait[0]) if wait else 0)
        content = (FOLDER / f"{name}6" / "index.html").read_bytes()
        self.send_response(503 if int(every) and SEEN[name] % int(every) == 0 else 200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 8081), Handler)
    print("ready", flush=True)
    server.serve_forever()
