"""The shipped fingerprints over the examples of a copy of Recog, next to the patterns of an installed nmap.

Neither is part of edusec: `bench/fingerprints.py PATH` takes the folder of Recog's XML files (its examples are answers
of real products, with who gave them), and nmap's patterns come from /usr/share/nmap. Printed by kind of answer: how
often each names the same maker or product as Recog does, says nothing, or something else (`--other` lists those of
edusec), and what matching one answer costs edusec. Recog holds the world's products and not those of schools: read it
as a direction, and as a list of what to look at.
"""

import argparse
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from probes.kit.fingerprint.match import by_key, fill, identify
from probes.kit.fingerprint.model import Fingerprint
from probes.kit.fingerprint.nmap import read_nmap
from probes.kit.fingerprint.own import built_in
from probes.kit.fingerprint.recog import read_recog

NMAP = Path("/usr/share/nmap/nmap-service-probes")
HTTP = "HTTP/1.0 200 OK\r\n{}\r\n\r\n"
KINDS = {
    "ssh.banner": ("ssh.banner", "{}", "nmap.NULL", "SSH-2.0-{}\r\n"),
    "ftp.banner": ("text.banner", "220 {}", "nmap.NULL", "220 {}\r\n"),
    "smtp.banner": ("text.banner", "220 {}", "nmap.NULL", "220 {}\r\n"),
    "pop3.banner": ("text.banner", "+OK {}", "nmap.NULL", "+OK {}\r\n"),
    "imap4.banner": ("text.banner", "* OK {}", "nmap.NULL", "* OK {}\r\n"),
    "http_header.server": ("http_header.server", "{}", "nmap.GetRequest", HTTP.format("Server: {}")),
    "http_header.wwwauth": ("http_header.wwwauth", "{}", "nmap.GetRequest", HTTP.format("WWW-Authenticate: {}")),
    "http_header.cookie": ("http_header.cookie", "{}", "nmap.GetRequest", HTTP.format("Set-Cookie: {}")),
    "html_title": ("html_title", "{}", "nmap.GetRequest", HTTP.format("\r\n<title>{}</title>")),
    "dns.versionbind": ("dns.versionbind", "{}", "", ""),
    "rtsp_header.server": ("rtsp_header.server", "{}", "", ""),
    "sip_header.server": ("sip_header.server", "{}", "", ""),
    "snmp.sys_description": ("snmp.sys_description", "{}", "", ""),
    "x509.subject": ("x509.subject", "{}", "", ""),
}
"""Recog's kind: ours and nmap's, and how an example of it looks there; nmap reads packets of the others, not texts."""
WHO = (
    "service.vendor", "service.product", "service.family", "service.component.product", "hw.vendor", "hw.product",
    "hw.family", "os.vendor", "os.product", "os.family",
)  # fmt: skip
SAME, SILENT, OTHER = "same", "silent", "other"


def who(says: Mapping[str, str]) -> set[str]:
    """Give the makers and products that are named, in letters and digits alone."""
    return {plain for name in WHO if (plain := re.sub(r"\W", "", says.get(name, "").lower()))}


def judge(known: Mapping[str, Sequence[Fingerprint]], key: str, text: str, wanted: set[str]) -> tuple[str, str]:
    """Tell what fingerprints of one kind make of an answer, and which one it was."""
    found = identify(known.get(key, ()), text)
    if found is None or not (named := who(found.says)):
        return SILENT, ""
    return SAME if any(alike(a, b) or alike(b, a) for a in wanted for b in named) else OTHER, found.title


def alike(short: str, long: str) -> bool:
    """Tell whether a name is part of another; names as short as HP stand at its beginning, or PHP would hold one."""
    return long.startswith(short) or (len(short) > 3 and short in long)


def examples(fingerprints: Sequence[Fingerprint]) -> Iterator[tuple[str, str, set[str]]]:
    """Give kind, text and who gave it, of each example that names somebody."""
    for fingerprint in fingerprints:
        for example in fingerprint.examples:
            found = fingerprint.compiled().search(example.text)
            if fingerprint.key in KINDS and found and (wanted := who(fill(fingerprint.says, found))):
                yield fingerprint.key, example.text, wanted


def main() -> None:
    """Judge each example and print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("recog", type=Path, help="folder of a copy of Recog's XML files")
    parser.add_argument("--other", action="store_true", help="list what edusec names otherwise than Recog")
    options = parser.parse_args()
    own = by_key(built_in())
    probes = read_nmap(NMAP).probes if NMAP.exists() else ()
    peer = by_key(fingerprint for probe in probes for fingerprint in probe.fingerprints)
    scores: defaultdict[str, tuple[Counter[str], Counter[str]]] = defaultdict(lambda: (Counter(), Counter()))
    spent: Counter[str] = Counter()
    for kind, text, wanted in examples(read_recog(options.recog).fingerprints):
        key, shape, peer_key, peer_shape = KINDS[kind]
        started = time.process_time_ns()
        said, title = judge(own, key, shape.format(text), wanted)
        spent[kind] += time.process_time_ns() - started
        scores[kind][0][said] += 1
        if peer_key and peer:
            scores[kind][1][judge(peer, peer_key, peer_shape.format(text), wanted)[0]] += 1
        if options.other and said == OTHER:
            print(f"other: {kind}: {text[:60]!r} is {', '.join(sorted(wanted))}; edusec: {title}")
    print(f"{len(built_in())} fingerprints of edusec; same, silent and other by kind of answer")
    for kind, (ours, theirs) in scores.items():
        of_peer = f"{theirs[SAME]:5}{theirs[SILENT]:6}{theirs[OTHER]:6}" if theirs else "    -     -     -"
        cost = spent[kind] / ours.total() / 1000
        counts = f"edusec {ours[SAME]:5}{ours[SILENT]:6}{ours[OTHER]:6}   nmap {of_peer}"
        print(f"{kind:22} {counts}   {cost:6.0f} us an answer")
    both = [kind for kind in scores if scores[kind][1]]
    for number, name in enumerate(("edusec", "nmap")):
        total = sum((scores[kind][number] for kind in both), Counter[str]())
        print(f"where both read texts: {name}: {total[SAME]} same, {total[SILENT]} silent, {total[OTHER]} other")


if __name__ == "__main__":
    main()
