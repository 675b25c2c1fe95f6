"""Faults of files, held to what every one of them must be: a place, and what is wrong in both languages."""

import re

from collector.errors import BadFile

_PLACE = re.compile(r"(.+:\d+:[^:：]+)(: |：)(.+)", re.DOTALL)


def said_in_english(refusal: BadFile) -> tuple[str, ...]:
    """Give the lines of a refusal in English, once the Chinese ones say the same of the same places."""
    for text in refusal.problems:
        zh, en = _PLACE.fullmatch(text.zh), _PLACE.fullmatch(text.en)
        if text.en.startswith("... and "):
            continue
        assert zh is not None, text
        assert en is not None, text
        assert zh[1] == en[1]
        assert (zh[2], en[2]) == ("：", ": ")
        assert re.search("[\u4e00-\u9fff]", zh[3]), text
        assert re.search("[a-z]{3}", en[3]), text
    return tuple(text.en for text in refusal.problems)
