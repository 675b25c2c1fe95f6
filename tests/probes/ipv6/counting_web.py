"""A web server behind nginx that fails every so many requests, counted for each site; run by ipv6_lab.py.

counting_web.py FOLDER: GET /NAME/N gives FOLDER/NAME6/index.html, and 503 at each Nth request for NAME.
"""

import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

FOLDER = Path(sys.argv[1])
SEEN: "Counter[str]" = Counter()


class Handler(BaseHTTPRequestHandler):
    """Counts and serves."""

    def do_GET(self) -> None:
        """Serve a page, or fail when it is its turn."""
        _, name, every = self.path.split("/")
        SEEN[name] += 1
        content = (FOLDER / f"{name}6" / "index.html").read_bytes()
        self.send_response(503 if SEEN[name] % int(every) == 0 else 200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", 8081), Handler)
    print("ready", flush=True)
    server.serve_forever()
