"""Tiles: the same matrix for any size, in memory or in a file, after a kill too."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from fico.errors import DataError
from fico.networks.imram import IMRAM
from fico.networks.scan import SCAN
from fico.scoring import score_file
from fico.scoring.matrix import score_matrix
from fico.scoring.score_file import spent_seconds
from fico.types import EncodedBatch
from tests.processes import in_two_processes

ROOT = Path(__file__).parents[3]


def _network(kind="t2i"):
    torch.manual_seed(0)
    return IMRAM(9, 30, 8, 5, steps=2) if kind == "imram" else SCAN(9, 30, 8, 5, direction=kind)


def _encoded(images=11, texts=23, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 10, (texts,), generator=generator)
    unit = torch.nn.functional.normalize
    return EncodedBatch(
        images=unit(torch.randn(images, 6, 8, generator=generator), dim=2),
        image_ids=torch.arange(images),
        texts=unit(torch.randn(texts, 9, 8, generator=generator), dim=2),
        text_ids=torch.arange(texts),
        text_lengths=lengths,
    )


class Killed(BaseException):
    pass


class Mortal:
    """A scorer that dies after some tiles, and counts them."""

    def __init__(self, network, lives):
        self.network, self.lives, self.tiles = network, lives, 0

    def score(self, images, texts, lengths=None):
        if self.tiles == self.lives:
            raise Killed
        self.tiles += 1
        return self.network.score(images, texts, lengths)

    def __repr__(self):
        return "Mortal()"  # the same for all, as the key of a part holds it


@pytest.mark.parametrize("kind", ["t2i", "i2t", "imram"])
@pytest.mark.parametrize("tile", [(1, 1), (2, 3), (5, 4), (100, 100)])
def test_the_matrix_is_the_same_for_any_tile_size(kind, tile):
    network, encoded = _network(kind), _encoded(images=5, texts=11)
    with torch.no_grad():
        whole = network.score(encoded.images, encoded.texts, encoded.text_lengths).numpy()
    tiled = score_matrix(network, encoded, image_tile=tile[0], text_tile=tile[1], progress=False)
    assert tiled.dtype == np.float32
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-6 * np.abs(whole).max())


def test_captions_stand_in_their_own_order_though_they_are_scored_by_length():
    network, encoded = _network(), _encoded()
    turned = torch.arange(23).flip(0)
    other = EncodedBatch(
        encoded.images, encoded.image_ids, encoded.texts[turned], encoded.text_ids, encoded.text_lengths[turned]
    )
    scores, back = (score_matrix(network, e, text_tile=4, progress=False) for e in (encoded, other))
    np.testing.assert_allclose(back[:, turned], scores, atol=1e-6)


def test_only_one_tile_without_its_padding_is_scored_at_a_time():
    seen = []

    class Watching(Mortal):
        def score(self, images, texts, lengths=None):
            seen.append((len(images), len(texts), texts.shape[1], int(lengths.max()), int(lengths.min())))
            return super().score(images, texts, lengths)

    score_matrix(Watching(_network(), -1), _encoded(), image_tile=4, text_tile=5, progress=False)
    assert all(images <= 4 and texts <= 5 and width == longest for images, texts, width, longest, _ in seen)
    assert len(seen) == 3 * 5
    assert sum(longest - shortest for *_, longest, shortest in seen) <= 3 * 6  # buckets, not file order


def test_without_lengths_every_text_is_as_long_as_it_is_wide():
    network, encoded = _network(), _encoded()
    encoded.text_lengths = None
    with torch.no_grad():
        whole = network.score(encoded.images, encoded.texts)
    np.testing.assert_allclose(score_matrix(network, encoded, text_tile=7, progress=False), whole, atol=1e-6)


def test_float64_stays_float64():
    encoded = _encoded()
    encoded.images, encoded.texts = encoded.images.double(), encoded.texts.double()
    assert score_matrix(_network().double(), encoded, progress=False).dtype == np.float64


def test_mixed_precision_is_close_and_comes_back_in_float32():
    exact = score_matrix(_network(), _encoded(), progress=False)
    with torch.autocast("cpu", torch.bfloat16):
        rough = score_matrix(_network(), _encoded(), progress=False)
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.03 * np.abs(exact).max()


def test_tiles_below_one_are_refused():
    with pytest.raises(ValueError, match="at least one image"):
        score_matrix(_network(), _encoded(), image_tile=0, progress=False)


def test_a_file_holds_the_same_bits_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "scores.npy"
    scores = score_matrix(_network(), _encoded(), path=path, progress=False)
    assert np.array_equal(scores, score_matrix(_network(), _encoded(), progress=False))
    assert np.array_equal(np.load(path), scores)
    assert [file.name for file in path.parent.iterdir()] == ["scores.npy"]
    assert not scores.flags.writeable


@pytest.mark.parametrize("lives", [0, 1, 7, 14])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_bits(tmp_path, lives):
    path, tiles = tmp_path / "scores.npy", {"image_tile": 4, "text_tile": 5, "progress": False}
    first, second = Mortal(_network(), lives), Mortal(_network(), -1)
    with pytest.raises(Killed):
        score_matrix(first, _encoded(), path=path, **tiles)
    assert not path.exists()
    scores = score_matrix(second, _encoded(), path=path, **tiles)
    assert second.tiles == 15 - lives
    assert np.array_equal(scores, score_matrix(_network(), _encoded(), **tiles))


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
import test_matrix as t
from fico.scoring import score_file
score_file.FLUSH_SECONDS = 0.0

class Dying(t.Mortal):
    def score(self, *given):
        if self.tiles == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score(*given)

t.score_matrix(Dying(t._network(), -1), t._encoded(), path=sys.argv[1], image_tile=4, text_tile=5, progress=False)
"""


def test_a_killed_process_goes_on_from_its_last_flush(tmp_path, warm_python):
    path, program = tmp_path / "scores.npy", tmp_path / "killed.py"
    program.write_text(KILLED)
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    dead = warm_python(program, path, Path(__file__).parent, env=environment)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    assert not path.exists()
    survivor = Mortal(_network(), -1)
    scores = score_matrix(survivor, _encoded(), path=path, image_tile=4, text_tile=5, progress=False)
    assert survivor.tiles == 15 - 6
    assert np.array_equal(scores, score_matrix(_network(), _encoded(), image_tile=4, text_tile=5, progress=False))


def test_a_journal_line_that_was_cut_short_does_not_count(tmp_path):
    path, tiles = tmp_path / "scores.npy", {"image_tile": 4, "text_tile": 5, "progress": False}
    with pytest.raises(Killed):
        score_matrix(Mortal(_network(), 12), _encoded(), path=path, **tiles)
    journal = tmp_path / "scores.npy.journal"
    journal.write_text(journal.read_text()[:-1])  # "11" without its end could be the start of "110"
    second = Mortal(_network(), -1)
    score_matrix(second, _encoded(), path=path, **tiles)
    assert second.tiles == 4


@pytest.mark.parametrize("damage", ["torn", "swapped", "zeroed", "foreign", "empty"])
def test_only_tiles_whose_scores_are_whole_are_taken_over(tmp_path, damage):
    path, tiles = tmp_path / "scores.npy", {"image_tile": 4, "text_tile": 5, "progress": False}
    wanted = score_matrix(_network(), _encoded(), **tiles)
    with pytest.raises(Killed):
        score_matrix(Mortal(_network(), 8), _encoded(), path=path, **tiles)
    journal, part = tmp_path / "scores.npy.journal", tmp_path / "scores.npy.part"
    key, *lines = journal.read_text().splitlines()
    if damage == "torn":  # a line cut short must not become one with the line that is appended
        journal.write_text("\n".join([key, *lines])[:-12])
    elif damage == "swapped":
        numbers = [line.partition(" ")[2] for line in lines]
        journal.write_text("\n".join([key, *(f"{7 - n} {rest}" for n, rest in enumerate(numbers)), ""]))
    elif damage == "zeroed":
        scores = np.load(part, mmap_mode="r+")
        scores[:2] = 0
        scores.flush()
    elif damage == "foreign":
        journal.write_text("\n".join([key, *lines, "99 00000000 1.0", "x y z", "3", ""]))
    elif damage == "empty":
        part.write_bytes(b"")
    with pytest.raises(Killed):
        score_matrix(Mortal(_network(), 4), _encoded(), path=path, **tiles)
    assert np.array_equal(score_matrix(Mortal(_network(), -1), _encoded(), path=path, **tiles), wanted)
    assert [file.name for file in tmp_path.iterdir()] == ["scores.npy"]


def test_a_kept_journal_gives_complete_scores_again_and_adds_up_the_seconds(tmp_path, monkeypatch):
    path, tiles = tmp_path / "scores.npy", {"image_tile": 4, "text_tile": 5, "progress": False, "keep_journal": True}
    clock = iter(range(1000))
    monkeypatch.setattr(score_file.time, "monotonic", lambda: float(next(clock)))
    with pytest.raises(Killed):
        score_matrix(Mortal(_network(), 8), _encoded(), path=path, **tiles)
    first = spent_seconds(path)
    assert first > 0
    wanted = score_matrix(Mortal(_network(), -1), _encoded(), path=path, **tiles)
    whole = spent_seconds(path)
    assert whole > first
    idle = Mortal(_network(), 0)
    assert np.array_equal(score_matrix(idle, _encoded(), path=path, **tiles), wanted)
    assert idle.tiles == 0
    assert spent_seconds(path) == whole
    other = Mortal(_network(), -1)
    score_matrix(other, _encoded(seed=1), path=path, **tiles)  # other embeddings: scored anew, and not refused
    assert other.tiles == 15


@pytest.mark.parametrize("change", ["embeddings", "lengths", "weights", "settings", "precision", "tile"])
def test_a_part_of_other_scores_is_refused(tmp_path, change):
    path, tiles = tmp_path / "scores.npy", {"image_tile": 4, "text_tile": 5, "progress": False}
    network, encoded = _network("imram"), _encoded()
    score = network.score
    network.score = Mortal(network, 2).score
    network.score.__self__.network = type("Whole", (), {"score": staticmethod(score)})
    with pytest.raises(Killed):
        score_matrix(network, encoded, path=path, **tiles)
    network = _network("imram")
    if change == "embeddings":
        encoded = _encoded(seed=1)
    elif change == "lengths":
        encoded.text_lengths[3] = 2
    elif change == "weights":
        torch.nn.init.zeros_(network.gate_t2i.bias)
    elif change == "settings":
        network.lambda_softmax = 4.0
    elif change == "tile":
        tiles["text_tile"] = 6
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=change == "precision")
    with autocast, pytest.raises(DataError, match="part of other scores"):
        score_matrix(network, encoded, path=path, **tiles)
    score_matrix(_network("imram"), _encoded(), path=path, image_tile=4, text_tile=5, progress=False)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["t2i", "i2t", "imram"])
def test_a_gpu_gives_the_scores_of_the_cpu(kind):
    network, encoded = _network(kind), _encoded()
    here = score_matrix(network, encoded, progress=False)
    there = score_matrix(network.cuda(), encoded, image_tile=4, text_tile=5, progress=False)
    np.testing.assert_allclose(there, here, atol=1e-5)


def _one_process(rank, folder, images):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    scorer = Mortal(_network(), lives=100)
    found = score_matrix(scorer, _encoded(images), image_tile=2, text_tile=5, path=folder / "s.npy", progress=False)
    torch.save((found, scorer.tiles), folder / str(rank))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(("images", "tiles"), [(11, [15, 15]), (1, [0, 5])])
def test_two_processes_score_shards_of_the_image_tiles_and_have_the_same_bits_as_one(tmp_path, images, tiles):
    in_two_processes(_one_process, tmp_path, images)
    wanted = score_matrix(_network(), _encoded(images), image_tile=2, text_tile=5, progress=False)
    for rank in (0, 1):
        found, counted = torch.load(tmp_path / str(rank), weights_only=False)
        assert (found == wanted).all()
        assert counted == tiles[rank]
    assert (np.load(tmp_path / "s.npy") == wanted).all()
