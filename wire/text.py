"""What operators read, in Chinese and in English."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

Lang = Literal["zh", "en"]


class Text(NamedTuple):
    """One sentence for operators in both languages; Chinese comes first."""

    zh: str
    en: str

    def __call__(self, lang: Lang) -> str:
        """Give the sentence in one language."""
        return self.zh if lang == "zh" else self.en


def of_locale(environ: Mapping[str, str]) -> Lang:
    """Give the language of the locale: the first of LC_ALL, LC_MESSAGES and LANG that says something."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environ.get(name):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def of_request(accept_language: str) -> Lang:
    """Give the language that a client asks for first (RFC 9110 section 12.5.4); without one, English."""
    return "zh" if accept_language.lower().startswith("zh") else "en"


class TextError(ValueError):
    """A value that cannot be used; `text` says what is allowed in both languages, the error itself in English."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.text = Text(zh, en)


def text_of(error: Exception) -> Text:
    """Give what an error says; one that speaks English only says the same in both languages."""
    text = getattr(error, "text", None)
    return text if isinstance(text, Text) else Text(str(error), str(error))


def within(place: str, said: Text) -> Text:
    """Give the same as said of a place: a file, a line, a field. Chinese has its own colon before a sentence."""
    return Text(f"{place}：{said.zh}", f"{place}: {said.en}")


def as_text(said: Text | str) -> Text:
    """Give a text in both languages; a plain one is for programs and says the same in both."""
    return said if isinstance(said, Text) else Text(said, said)


def lines_of(texts: Iterable[Text]) -> Text:
    """Give texts below one another."""
    held = tuple(texts)
    return Text("\n".join(text.zh for text in held), "\n".join(text.en for text in held))
