"""Runs the code blocks of the docs, those that take minutes too: ``python docs/run_blocks.py --with minutes``."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from blocks import NEEDS, PAGES, ROOT, BlockParser, blocks, copy_checkout, examples


def main(words: Sequence[str] | None = None) -> int:
    """Run or list the blocks of all pages or of those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", type=Path, help="Markdown files; all when left out")
    parser.add_argument("--with", dest="needs", action="append", choices=["minutes", "hours"], default=[])
    parser.add_argument("--list", action="store_true", help="list the blocks that are not run, and why")
    options = parser.parse_args(words)
    pages = [page.resolve() for page in options.pages] or PAGES
    if options.list:
        for block in (block for page in pages for block in blocks(page) if block.need is not None):
            sys.stdout.write(f"{block.location}: needs {NEEDS[block.need]}\n")
        return 0
    return sum(not _runs(page, frozenset(options.needs)) for page in pages) and 1


def _runs(page: Path, needs: frozenset[str]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        checkout = copy_checkout(Path(folder))
        os.chdir(checkout)
        try:
            for example in examples(page, BlockParser(needs, checkout)):
                example.evaluate()
        except Exception as error:  # of whatever the block does
            sys.stdout.write(f"{page.relative_to(ROOT)}: {type(error).__name__}: {error}\n")
            return False
        finally:
            os.chdir(ROOT)
    sys.stdout.write(f"{page.relative_to(ROOT)}: runs\n")
    return True


if __name__ == "__main__":
    sys.exit(main())
