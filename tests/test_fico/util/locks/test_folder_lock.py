"""One process writes a folder at a time."""

import subprocess
import sys

import pytest

from fico.errors import UsageError
from fico.util.locks.folder_lock import is_locked, locked_folder

TRY = """
import sys
from pathlib import Path
from fico.errors import UsageError
from fico.util.locks.folder_lock import is_locked, locked_folder
print(is_locked(Path(sys.argv[1])))
try:
    with locked_folder(Path(sys.argv[1])):
        pass
except UsageError as error:
    sys.exit(f"{error.exit_code} {error}")
"""


def test_a_folder_in_use_is_refused_in_one_sentence_and_free_afterwards(tmp_path):
    with locked_folder(tmp_path):
        other = subprocess.run([sys.executable, "-c", TRY, str(tmp_path)], capture_output=True, text=True)
        assert other.stdout.strip() == "True"
        assert other.stderr.strip() == (
            f"2 another process is writing {tmp_path}; wait for its end, or give another folder (hydra.run.dir=FOLDER)"
        )
    assert not is_locked(tmp_path)
    with pytest.raises(UsageError), locked_folder(tmp_path), locked_folder(tmp_path):
        pass


def test_the_lock_of_a_finished_run_leaves_no_file(tmp_path):
    with locked_folder(tmp_path), locked_folder(tmp_path, rank=1):
        assert {file.name for file in tmp_path.iterdir()} == {".lock", ".lock.1"}
    assert not list(tmp_path.iterdir())
