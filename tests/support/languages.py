"""What tells the two languages of operators apart."""

import re

CHINESE = re.compile("[\u3400-\u9fff，。；：（）、]")
ENGLISH = re.compile(r"\b[a-z]{2,}(?: [a-z]{2,}){2}\b", re.IGNORECASE)
"""Three words in a row: what has to be English (names, commands, flags) stands alone, or in a line to copy."""
