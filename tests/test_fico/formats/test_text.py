"""Text of any editor: marks, line ends and the breaks of Unicode inside of a line."""

import gzip

import pytest

from fico.errors import DataError
from fico.formats.text import read_json, read_lines


@pytest.mark.parametrize("inside", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_a_line_feed_ends_a_line(tmp_path, inside):
    path = tmp_path / "lines.txt"
    path.write_bytes(f"a dog{inside}runs\r\na cat\n\n".encode())
    assert read_lines(path) == [f"a dog{inside}runs", "a cat"]


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"\xef\xbb\xbfa\nb")
    assert read_lines(path) == ["a", "b"]
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(path) == {"a": 1}


def test_another_encoding_is_named_with_its_line(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes("a\ncafé\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"lines\.txt is not UTF-8 in line 2"):
        read_lines(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe\xff"])
def test_what_is_no_json_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json is not readable JSON"):
        read_json(path)


@pytest.mark.parametrize("damage", ["cut", "flipped", "plain"])
def test_a_damaged_gz_is_named(tmp_path, damage):
    path = tmp_path / "a.json.gz"
    whole = gzip.compress(b'{"a": 1}' * 50)
    damaged = {"cut": whole[:-12], "flipped": whole[:14] + b"\xff\x00" + whole[16:], "plain": b"{}"}
    path.write_bytes(damaged[damage])
    with pytest.raises(DataError, match=r"a\.json\.gz is not readable JSON"):
        read_json(path)


def test_a_missing_file_is_named(tmp_path):
    for read in (read_lines, read_json):
        with pytest.raises(DataError, match=r"there is no file .*a\.json"):
            read(tmp_path / "a.json")
