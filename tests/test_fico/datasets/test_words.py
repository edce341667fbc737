"""Words of captions in several scripts."""

import pytest

from fico.datasets.words import caption_words


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A man's 2 T-shirts, half-off.", "a mans 2 t shirts half off"),
        ("लाल वृत्त दीवार पर", "लाल वृत्त दीवार पर"),  # vowel signs are marks
        ("cafe\u0301 noir", "café noir"),  # a letter and an accent of its own
        ("红色的圆形。一只狗", "红 色 的 圆 形 一 只 狗"),
        ("สุนัขวิ่ง", "สุ นั ข วิ่ ง"),
        ("赤い dog 2匹", "赤 い dog 2 匹"),
        ("빨간 원", "빨간 원"),
        ("... \u0301 !", ""),
    ],
)
def test_words_keep_their_marks_and_scripts_without_blanks_are_read_by_character(caption, words):
    assert caption_words(caption) == tuple(words.split())
