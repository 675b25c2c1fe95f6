"""The operator's way to a collector: one profile, HTTPS only, bounded answers, every failure in plain words."""

import http.client
import json
import socket
import ssl
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from edusec.exits import ExitCode, Stop
from edusec.lang import current, t
from edusec.local import places
from wire.codec import decode, parse_json
from wire.errors import WireError
from wire.faults import not_toml, why
from wire.text import within
from wire.types import Refusal

MAX_ANSWER_BYTES = 64 << 20
TIMEOUT_SECONDS = 30

_CODES: Mapping[int, ExitCode] = {
    HTTPStatus.UNAUTHORIZED: ExitCode.PRIVILEGE,
    HTTPStatus.FORBIDDEN: ExitCode.PRIVILEGE,
    HTTPStatus.TOO_MANY_REQUESTS: ExitCode.UNREACHABLE,
    HTTPStatus.BAD_GATEWAY: ExitCode.UNREACHABLE,
    HTTPStatus.SERVICE_UNAVAILABLE: ExitCode.UNREACHABLE,
    HTTPStatus.GATEWAY_TIMEOUT: ExitCode.UNREACHABLE,
}


@dataclass(frozen=True, slots=True)
class Profile:
    """Which collector, by which certificate authority, with whose token; `file` is where that was read."""

    url: str
    ca: Path
    token: str
    file: Path


def find_profile(named: Path | None) -> Path:
    """Give the profile to use: the named one, the operator's own, else the one that `edusec up` made.

    Raises Stop with what to do when there is none.
    """
    if named is not None:
        return named
    own, demo = places.operator_file(), places.up_folder() / "operator.toml"
    for file in (own, demo):
        if file.exists():
            return file
    raise Stop(
        t(
            f"还没有采集中心的连接配置（{own}）。先试用：edusec up；"
            "或把 EDUSEC_OPERATOR 设为 `edusec collector init` 生成的 operator.toml",
            f"no collector is configured ({own}). To try one out: edusec up. "
            "Otherwise set EDUSEC_OPERATOR to the operator.toml that `edusec collector init` wrote",
        )
    )


def load_profile(file: Path) -> Profile:
    """Read an operator profile (`url`, `ca`, `token`); raises Stop that names file and key."""
    try:
        with file.open("rb") as stream:
            raw = tomllib.load(stream)
    except FileNotFoundError:
        raise Stop(t(f"{file}：没有这个文件", f"{file}: there is no such file")) from None
    except (ValueError, RecursionError) as error:
        raise Stop(within(str(file), not_toml(error))(current())) from None
    for key in ("url", "ca", "token"):
        if not isinstance(raw.get(key), str) or not raw[key]:
            raise Stop(t(f"{file}: {key}：缺少，或不是文本", f"{file}: {key}: missing, or not text"))
    if urlsplit(raw["url"]).scheme != "https" or not urlsplit(raw["url"]).hostname:
        raise Stop(t(f"{file}: url：须为 https://主机:端口", f"{file}: url: must be https://host:port"))
    return Profile(raw["url"].rstrip("/"), file.parent / raw["ca"], raw["token"], file)


class Collector:
    """One connection to a collector, for one command. Use it in a `with` block."""

    def __init__(self, profile: Profile) -> None:
        """Prepare the connection; nothing is sent yet."""
        self.profile = profile
        parts = urlsplit(profile.url)
        try:
            trust = ssl.create_default_context(cafile=profile.ca)
        except (OSError, ssl.SSLError) as error:
            raise Stop(
                t(
                    f"{profile.file}: ca：无法读取 {profile.ca}：{why(error).zh}",
                    f"{profile.file}: ca: cannot read {profile.ca}: {error}",
                )
            ) from None
        self._connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 443, timeout=TIMEOUT_SECONDS, context=trust
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, path: str, **query: str | int | None) -> Any:
        """Read one JSON answer."""
        return self._json(self.raw("GET", path, query))

    def post(self, path: str, message: Mapping[str, Any]) -> Any:
        """Send a JSON message and read the JSON answer."""
        return self._json(self.raw("POST", path, {}, json.dumps(message).encode(), "application/json"))

    def send_file(self, path: str, content: bytes, **query: str | int | None) -> Any:
        """Send a file's bytes and read the JSON answer."""
        return self._json(self.raw("POST", path, query, content, "application/octet-stream"))

    def items(self, path: str, **query: str | int | None) -> Iterator[Mapping[str, Any]]:
        """Read a list, page by page where the collector has pages."""
        cursor: str | None = None
        while True:
            page = self.get(path, **query, cursor=cursor)
            yield from page["items"]
            following = page.get("cursor")
            if not following or following == cursor:
                return
            cursor = following

    def raw(
        self, method: str, path: str, query: Mapping[str, str | int | None], body: bytes | None = None, kind: str = ""
    ) -> bytes:
        """Exchange one request; raises Stop with the collector's refusal, or with what to check without an answer."""
        given = urlencode({name: value for name, value in query.items() if value is not None})
        headers = {"Authorization": f"Bearer {self.profile.token}", "Accept": "application/json, */*"}
        headers["Accept-Language"] = current()
        if kind:
            headers["Content-Type"] = kind
        try:
            self._connection.request(method, f"{path}?{given}" if given else path, body, headers)
            response = self._connection.getresponse()
            content = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Stop(self._unreachable(error), ExitCode.UNREACHABLE) from None
        if len(content) > MAX_ANSWER_BYTES:
            self._connection.close()
            raise Stop(t("采集中心的答复过大", "the collector's answer is too large"))
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise Stop(_refused(response.status, content), _CODES.get(response.status, ExitCode.USAGE))
        return content

    def _json(self, content: bytes) -> Any:
        try:
            return parse_json(content)
        except WireError as error:
            raise Stop(
                t(
                    f"{self.profile.url} 的答复不是 JSON（{error.text.zh}）：地址对吗？",
                    f"{self.profile.url} did not answer with JSON ({error}): is this the collector's address?",
                )
            ) from None

    def _unreachable(self, error: Exception) -> str:
        url, file = self.profile.url, self.profile.file
        if isinstance(error, ssl.SSLCertVerificationError):
            return t(
                f"{url} 的证书不被 {self.profile.ca} 信任：{error.verify_message}。请核对 {file} 里的 ca，或本机时钟",
                f"{self.profile.ca} does not vouch for the certificate of {url}: {error.verify_message}. "
                f"Check ca in {file}, and this machine's clock",
            )
        if isinstance(error, socket.gaierror):
            return t(
                f"{url} 的主机名无法解析；请核对 {file} 里的 url",
                f"the host of {url} has no address; check url in {file}",
            )
        said = why(error)
        return t(
            f"连不上采集中心 {url}（{said.zh}）。它在运行吗？（edusec up 或 edusec collector run）；"
            "自检：edusec doctor",
            f"cannot reach the collector {url} ({said.en}). Is it running (edusec up, or edusec collector run)? "
            "Self-check: edusec doctor",
        )


def _refused(status: int, content: bytes) -> str:
    try:
        refusal = decode(Refusal, content)
    except WireError:
        return t(f"采集中心答复 HTTP {status}", f"the collector answered HTTP {status}")
    hints = {
        "unauthorised": t(
            "令牌无效或已撤销：核对 operator.toml 里的 token",
            "the token is wrong or revoked: check token in operator.toml",
        ),
        "forbidden": t("您的角色不允许此操作", "your role does not allow this"),
        "not_found": t("没有找到（或不在您的管辖范围内）", "not found (or outside your units)"),
        "busy": t("采集中心正忙，请稍后再试", "the collector is busy, try again later"),
        "bad_file": t("有误，什么都没有改动：", "there are faults, nothing was changed:"),
    }
    hint = hints.get(refusal.code)
    if refusal.problems:  # the message is the first of them
        return "\n".join([hint or refusal.message, *refusal.problems])
    return t(f"{hint}：{refusal.message}", f"{hint}: {refusal.message}") if hint else refusal.message


def open_collector(named: Path | None) -> Collector:
    """Open the collector of the operator's profile."""
    return Collector(load_profile(find_profile(named)))


def path_part(text: str) -> str:
    """Write an id as one part of a path, whatever characters it has."""
    return quote(text, safe="")
