"""Files with faults of every kind, for whoever listens to what is said of them."""

from pathlib import Path

FILES = {
    "gbk.csv": "代码,名称\n640100,银川市\n".encode("gb18030"),
    "broken.toml": b"lang = \n",
    "folder/other.txt": b"not ours",
    "collector.toml": b"""
lisen = []
listen = ["localhost:8443", "[::1]:70000", 3]
names = "x"
log_level = "loud"
report_interval = "300"
lang = 7
[limits]
connections = 1
header_seconds = true
[responder]
enabled = "yes"
[tls]
cert = 3
[[tasks]]
name = "ports"
probe = "open_ports"
interval = 0
optoins = {}
""",
    "agent.toml": b"""
speed = 1
[agent]
state = "relative"
metrics = "here"
metrics_url = 3
report_interval = 0
[spool]
max_bytes = 1
[limits]
quiet_hours = ["25:00-26:00", 3]
[orders]
accept = "yes"
probes = "all"
[[task]]
probe = "no such"
[[task]]
name = "a"
probe = "open_ports"
interval = 60
options = { prots = "22" }
""",
    "rule.toml": b"""
id = "Rule"
title = "one language"
select = "service"
severity = "grave"
control = { 2 = "9.9.9", 3 = 8, 4 = "x" }
policy = ["NX-NONE", 3]
for = "soon"
drift = 3
when = { prot = 22, port = { near = 3 }, state = "ajar", any = 3 }
minimum = [{ from_level = 9, exposure = "all" }]
shows = "port"
replaces = "no"
[remedy]
zh = ""
de = "x"
[[example]]
verdict = "perhaps"
facts = { port = "x" }
""",
    "bad.xml": b"<fingerprints>\n<fingerprint",
    "faults.xml": b"""<fingerprints matches="ssh.banner">
<fingerprint pattern="(unclosed"><description>one</description></fingerprint>
<fingerprint pattern=""><description>two</description></fingerprint>
<fingerprint pattern="a" flags="REG_ODD"><description>three</description></fingerprint>
<fingerprint pattern="a"><description>four</description><param pos="x"/></fingerprint>
<fingerprint pattern="a"><description>five</description><param pos="2" name="n"/></fingerprint>
<fingerprint pattern="a"><description>six</description><example _encoding="base64">!</example></fingerprint>
<fingerprint pattern="a"><description>seven</description><example _filename="../x">y</example></fingerprint>
<fingerprint pattern="a"><description>eight</description><example>other</example></fingerprint>
</fingerprints>""",
    "nmap-service-probes": b"""match ssh m|x|
Probe TCP NULL q||
odd word
rarity many
match ssh
match ssh m|(|
match ssh m|x| p/{1}/ q/y/
match ssh m|x| p/$2/
match ssh m|x
""",
    "own.toml": b"""
key = "ssh.banner"
[[fingerprint]]
title = "one"
pattern = "("
certainty = 3.0
says = { "service.product" = 3 }
examples = []
colour = 1
[[fingerprint]]
title = "two"
pattern = "x"
certainty = 0.5
says = { "service.product" = "{3}" }
examples = [{ text = "y" }]
""",
    "snmp.toml": b'[[agent]]\nhosts = ["127.0.0.1"]\ncommunity = "a"\nuser = "b"\n',
    "profile.toml": b'url = "http://x"\nca = "c"\ntoken = "t"\n',
}


def write(folder: Path) -> None:
    """Write them all; those with secrets for their owner alone."""
    for name, content in FILES.items():
        place = folder / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
        place.chmod(0o600)
