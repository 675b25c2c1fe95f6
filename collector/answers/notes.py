"""What people write next to a decision."""

from collector.errors import BadInput
from wire.text import Text

MAX_NOTE = 1024


def check_note(note: str, *, required: bool = False) -> None:
    """Take a note of bounded length without control characters (line ends are fine); raises BadInput."""
    if required and not note.strip():
        raise BadInput(Text("note：须说明原因", "note: must say why"))
    if len(note) > MAX_NOTE or not all(char.isprintable() or char == "\n" for char in note):
        raise BadInput(
            Text(
                f"note：最多 {MAX_NOTE} 个字符，不含控制字符",
                f"note: at most {MAX_NOTE} characters, no control characters",
            )
        )
