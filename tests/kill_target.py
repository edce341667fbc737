"""``run.py`` for the kill loop: stores every tile and batch at once, so that every kill has something to go on from."""

import runpy
import sys
from pathlib import Path

from fico.embeddings import encoded_shards
from fico.scoring import score_file

if __name__ == "__main__":
    encoded_shards.FLUSH_SECONDS = score_file.FLUSH_SECONDS = 0.0
    sys.path.insert(0, str(Path(__file__).parents[1]))
    runpy.run_path(str(Path(__file__).parents[1] / "run.py"), run_name="__main__")
