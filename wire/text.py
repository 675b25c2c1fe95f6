"""What operators read, in Chinese and in English."""

from typing import Literal, NamedTuple

Lang = Literal["zh", "en"]


class Text(NamedTuple):
    """One sentence for operators in both languages; Chinese comes first."""

    zh: str
    en: str

    def __call__(self, lang: Lang) -> str:
        """Give the sentence in one language."""
        return self.zh if lang == "zh" else self.en
