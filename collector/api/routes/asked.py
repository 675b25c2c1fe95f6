"""What requests have in common: who asks, which unit and page, files that are handed in and out."""

from typing import Annotated, Any

from litestar import Request, Response
from litestar.params import Parameter

from collector.api.bodies import MAX_IMPORT_BYTES, WrongType, read_body
from collector.api.context import context_of
from collector.memory.directory import AgentIdentity
from collector.memory.people import Person
from wire.text import Text

AgentRequest = Request[AgentIdentity, Any, Any]
PersonRequest = Request[Person, Any, Any]
UnitCode = Annotated[
    str | None,
    Parameter(
        description="Code of a unit; only it and what lies below it. Without it: all units of the person.",
        min_length=1,
        max_length=64,
    ),
]
Filename = Annotated[
    str,
    Parameter(
        description="Name of the file, by which its faults are named.",
        min_length=1,
        max_length=255,
    ),
]
PageLimit = Annotated[int, Parameter(ge=1, le=500, description="Most items in one answer.")]
Cursor = Annotated[str | None, Parameter(max_length=2048, description="Where the page before ended.")]
_FORMS = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
# What a browser form or a JSON client would send by mistake; any other type is read by the file's name.
_NOT_FILES = ("multipart/form-data", "application/x-www-form-urlencoded", "application/json")


async def read_file(request: PersonRequest) -> bytes:
    """Read the bytes of a file; raises WrongType for what a form or a JSON client sends, TooLarge, TooSlow."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _NOT_FILES:
        raise WrongType(
            Text(
                f"这里不接受 content-type {kind}，请直接发送文件内容",
                f"content-type {kind} is not taken here; send the bytes of the file itself",
            )
        )
    return await read_body(request, context_of(request), MAX_IMPORT_BYTES)


def hand_out(content: bytes, name: str, form: str) -> Response[bytes]:
    """Give a table as a file to be saved; `form` is `csv` or `xlsx` and becomes the ending of its name."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Response(content, media_type=_FORMS[form], headers=headers)
