"""Folders of images with a text file of captions beside each."""

from collections.abc import Iterator
from pathlib import Path

from fico.datasets.pairs.pair import IMAGE_SUFFIXES, SPLIT_WORDS, Pair, caption_lines
from fico.errors import DataError
from fico.formats.text import read_text


def read_folder(root: Path) -> Iterator[Pair]:
    """Read ``NAME.jpg`` with the captions of ``NAME.txt``, one a line, in this folder and below it.

    A first folder called ``train``, ``val`` or ``test`` says the split.

    Raises:
        DataError: There is no image, or one has no captions.
    """
    images = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not images:
        raise DataError(
            f"{root} holds no pairs: no table (.csv, .tsv, .jsonl, .json, .parquet, captions.txt), no .tar and no "
            f"images ({', '.join(sorted(IMAGE_SUFFIXES))}); correct the path of the data set"
        )
    bare = [path for path in images if not path.with_suffix(".txt").is_file()]
    if bare:
        raise DataError(
            f"{len(bare)} of {len(images)} images in {root} have no .txt with captions beside them, the first is "
            f"{bare[0].relative_to(root)}; write {bare[0].stem}.txt, or give a table of paths and captions"
        )
    for path in images:
        name = path.relative_to(root).as_posix()
        texts = caption_lines(read_text(path.with_suffix(".txt")))
        if not texts:
            raise DataError(f"{path.with_suffix('.txt')} is empty; write one caption a line, or take the image out")
        folders = name.split("/")[:-1]
        split = SPLIT_WORDS.get(folders[0].lower(), "") if folders else ""
        for text in texts:
            yield Pair(name, name, path, text, split, str(path.with_suffix(".txt")))
