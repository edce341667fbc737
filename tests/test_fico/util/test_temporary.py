"""What killed processes leave is removed by the next one; what living ones write stays."""

import subprocess
import sys

import pytest

from fico.util.atomic import atomic_write
from fico.util.cached_folder import ensure_folder
from fico.util.temporary import temporary_path

KILLED = """
import os, signal, sys
from pathlib import Path
from fico.util.atomic import atomic_write
from fico.util.cached_folder import ensure_folder

def kill(folder):
    (folder / "half").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)

path = Path(sys.argv[1])
if sys.argv[2] == "folder":
    ensure_folder(path, kill)
with atomic_write(path) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def write(path, kind):
    if kind == "folder":
        ensure_folder(path, lambda there: (there / "whole").write_text("x"))
    else:
        with atomic_write(path) as temporary:
            temporary.write_text("whole")


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_the_next_write_removes_what_a_killed_one_left(tmp_path, kind):
    path = tmp_path / "name"
    subprocess.run([sys.executable, "-c", KILLED, str(path), kind])
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".name.")
    of_a_living_one = temporary_path(tmp_path / "name")
    of_a_living_one.write_text("this process lives")
    of_another = left.with_name(left.name.replace(".name.", ".names."))
    of_another.write_text("another file's")
    write(path, kind)
    assert {file.name for file in tmp_path.iterdir()} == {"name", of_a_living_one.name, of_another.name}


def test_a_complete_folder_is_swept_as_well(tmp_path):
    path = tmp_path / "name"
    write(path, "folder")
    dead = temporary_path(path)
    pid = dead.name.split("-")[-2]
    dead.with_name(dead.name.replace(f"-{pid}-", "-4194305-")).mkdir()  # above the highest number of a process
    ensure_folder(path, lambda there: None)
    assert [file.name for file in tmp_path.iterdir()] == ["name"]
