"""Whether what was said of a server is true, held against the package that is installed."""

import re

from tests.support.servers.model import Server

RIGHT, SILENT, WRONG = "right", "silent", "wrong"
_OPEN_ENDS = {"or later": (None, "9999"), "or earlier": ("0", None)}


def verdict(server: Server, product: str, version: str) -> str:
    """Judge a product and a version; a version within the product's text counts too.

    RIGHT: the product, with its version where the server tells one; of a server that tells no product, its protocol.
    SILENT: less than that, and nothing untrue. WRONG: another product, or a version that is not the installed one, also
    where none is told.
    """
    if not server.product:
        return RIGHT
    if product and server.product.lower() not in product.lower():
        return WRONG
    if version and not covers(version, server.version()):
        return WRONG
    told = bool(version) or re.search(rf"(?<![\d.]){re.escape(server.version())}(?![\d.]*\d)", product)
    return RIGHT if product and (told or not server.tells) else SILENT


def covers(said: str, true: str) -> bool:
    """Tell whether a version, or a range such as `14-16`, `2.2.X - 2.3.X` or `9.6 or later`, holds the true one."""
    numbers = re.findall(r"\d+(?:\.\d+)*\w*", said)
    if not numbers:
        return False
    low, high = numbers[0], numbers[0]
    for words, (least, most) in _OPEN_ENDS.items():
        if said.endswith(words):
            low, high = least or low, most or high
    if re.fullmatch(r"[\d.X]+ ?(?:-|to) ?[\d.X]+", said):
        high = numbers[1]
    return _cut(low, true) <= _cut(true, low) and _cut(true, high) <= _cut(high, true)


def _cut(version: str, other: str) -> list[tuple[int, str]]:
    """Give a version's parts, no more of them than another one has, so that 9.2 and 9.2.1 agree."""
    return _parts(version)[: len(_parts(other))]


def _parts(version: str) -> list[tuple[int, str]]:
    return [(int(number), rest) for number, rest in re.findall(r"(\d+)([a-z]\w*)?", version.replace("-", "."))]
