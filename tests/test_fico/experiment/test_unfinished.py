"""The mark of an unfinished run, and how the same command finds it."""

import os
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fico.experiment.config.resolvers import register_resolvers
from fico.experiment.resume import run_folder
from fico.experiment.resume.run_folder import open_run, register_run_folder
from fico.experiment.resume.unfinished import MARK, Unfinished, find_folder
from fico.util.locks.folder_lock import locked_folder

ROOT = Path(__file__).resolve().parents[3]
CONFIG = {
    "name": "x y/ä", "seed": 0, "stage": ["fit"], "run": {"resume": "auto"}, "logger": {},
    "hydra": {"run": {"dir": "${run_folder:outputs/day/new-${file_name:${name}}}"}},
}  # fmt: skip


@pytest.fixture
def composed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    register_resolvers()
    register_run_folder()

    def make(**changes):
        run_folder._chosen.clear()
        return OmegaConf.create({**CONFIG, **changes})

    return make


def task(config):
    return OmegaConf.masked_copy(config, [name for name in config if name != "hydra"])


def killed(tmp_path, config, folder="outputs/before/one"):
    """A folder as a kill leaves it."""
    path = tmp_path / folder
    path.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt), open_run(path, task(config)):
        raise KeyboardInterrupt
    return path


def test_a_new_run_has_a_folder_that_needs_no_quotes(composed):
    assert composed().hydra.run.dir == "outputs/day/new-x-y-a"


def test_the_same_command_finds_its_unfinished_run_and_no_other(composed, tmp_path):
    killed(tmp_path, composed())
    killed(tmp_path, composed(seed=1), "outputs/before/two")
    assert composed().hydra.run.dir == "outputs/before/one"
    assert composed(name="renamed").hydra.run.dir == "outputs/before/one"  # a name changes no number
    assert composed(seed=2).hydra.run.dir == "outputs/day/new-x-y-a"
    assert composed(run={"resume": "never"}).hydra.run.dir == "outputs/day/new-x-y-a"


def test_a_run_that_ended_or_is_running_is_not_taken(composed, tmp_path):
    folder = killed(tmp_path, composed())
    with locked_folder(folder):
        assert find_folder(tmp_path / "outputs/day/new", lambda: Unfinished.read(folder).request).name == "new"
    with open_run(folder, task(composed())):
        pass
    assert not list(folder.iterdir())
    assert composed().hydra.run.dir == "outputs/day/new-x-y-a"


def test_the_folder_is_chosen_once_though_the_run_begins_to_write_it(composed, tmp_path):
    config = composed()
    first = config.hydra.run.dir
    (tmp_path / first).mkdir(parents=True)
    with open_run(tmp_path / first, task(config)):
        assert config.hydra.run.dir == first


def test_another_key_drops_what_was_left_and_the_same_one_keeps_it(tmp_path):
    for name in ("scores.npy", "scores.npy.journal", "rerank.npy.part", "encoded/0-000000.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    run = Unfinished(tmp_path, "request", key="key", fitted={"tested": "best.ckpt", "notes": []})
    run.write()
    again = Unfinished.read(tmp_path)
    again.begin("key", is_writer=True)
    assert again.fitted is not None
    assert (tmp_path / "scores.npy.journal").exists()
    again.begin("other", is_writer=True)
    assert again.fitted is None
    assert [path.name for path in tmp_path.iterdir()] == [MARK]


def test_other_processes_read_what_the_first_one_found(tmp_path):
    Unfinished(tmp_path, "request", key="key", fitted={"tested": "best.ckpt", "notes": []}).write()
    for key, is_fitted in (("key", True), ("other", False)):
        follower = Unfinished(tmp_path, "request")
        follower.begin(key, is_writer=False)
        assert (follower.fitted is not None) is is_fitted


@pytest.mark.parametrize("content", ["", "{", "[]", '{"unknown": 1}', "\xff"])
def test_a_damaged_mark_is_none(tmp_path, content):
    (tmp_path / MARK).write_text(content, encoding="latin-1")
    assert Unfinished.read(tmp_path) is None


def test_the_start_says_in_one_line_what_is_done_and_where(composed, tmp_path, caplog):
    caplog.set_level("INFO")
    folder = killed(tmp_path, composed())
    assert caplog.messages == ["x y/ä (fit) begins; its files: outputs/before/one"]
    with open_run(folder, task(composed())):
        pass
    assert "(fit) goes on with what was begun at 20" in caplog.messages[1]


def test_what_runs_left_that_were_killed_before_their_first_line_is_swept_after_an_hour(tmp_path):
    for name in ("old", "young", "logged", "finished"):
        (tmp_path / "day" / name / ".hydra").mkdir(parents=True)
        (tmp_path / "day" / name / run_folder.LOG).write_text("begins" if name == "logged" else "")
    (tmp_path / "day" / "finished" / "results.json").touch()
    an_hour_ago = time.time() - run_folder.STUB_SECONDS - 1
    for name in ("old", "logged", "finished"):
        os.utime(tmp_path / "day" / name, (an_hour_ago, an_hour_ago))
    run_folder._sweep_stubs(tmp_path)
    assert {path.name for path in (tmp_path / "day").iterdir()} == {"young", "logged", "finished"}


def test_a_run_that_is_refused_leaves_no_folder_but_the_one_that_was_chosen(tmp_path, warm_python):
    for chosen in ([], [f"hydra.run.dir={tmp_path / 'mine'}"]):
        done = warm_python(ROOT / "run.py", "stage=test", *chosen, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert [path.name for path in tmp_path.glob("*/*") if path.name != "run.log"] == [".hydra"] * bool(chosen)
