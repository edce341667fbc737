"""A split that is encoded without being evaluated is stored as its test would store it, however often it is killed."""

import pytest
import pytorch_lightning as L

from fico.embeddings import encoded_shards
from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError, UsageError
from fico.experiment.checkpoints.module import fill_sizes
from fico.experiment.config.checks import check_config
from fico.experiment.context import run_context
from fico.experiment.data import build_data
from fico.experiment.quiet import quiet
from fico.experiment.resume.unfinished import Unfinished
from fico.experiment.training import train_and_test
from tests.configs import composed

SMALL = (
    "dataset.images=30", "metric=instance", "metric.bootstrap=0", "index=[]", "logger=none", "trainer=cpu",
    "+trainer.enable_progress_bar=false", "+untrained=true",
)  # fmt: skip
NARROW = {
    "scan": ("model.module.network.embed_dim=8", "model.module.network.word_dim=8"),
    "ucch": ("model.module.network.hidden_dim=8", "model.bits=24"),
}
pytestmark = pytest.mark.filterwarnings("ignore")


class Killed(BaseException):
    pass


class Killer(L.Callback):
    def __init__(self, count):
        self.left = count

    def on_test_batch_end(self, *_, **__):
        self.left -= 1
        if self.left == 0:
            raise Killed


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Runs the stages of a command, killed after some batches where it is told to; returns the folder of the store."""
    quiet()
    monkeypatch.setattr(encoded_shards, "FLUSH_BYTES", 1)
    stores = []

    def run(*overrides, kills=()):
        folder = tmp_path / str(len(stores))
        folder.mkdir()
        for kill in (*kills, None):
            add = () if kill is None else (f"+callbacks.kill={{_target_: {__name__}.Killer, count: {kill}}}",)
            config = composed(*SMALL, *overrides, *add)
            L.seed_everything(0, verbose=False)
            data = build_data(config)
            config.model.module = fill_sizes(config.model.module, data.inputs.sizes)
            unfinished = Unfinished.read(folder) or Unfinished(folder, "request", key="key")
            context = run_context(folder, config, data, "key")
            try:
                train_and_test(config, data, context, [], unfinished)
            except Killed:
                continue
        stores.append(folder / "embeddings")
        return stores[-1]

    return run


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("model", NARROW)  # words of several lengths and floats; codes
def test_the_store_is_the_one_of_a_test(store, model):
    tested, encoded = (store(f"model={model}", *NARROW[model], f"stage=[{stage}]") for stage in ("test", "encode"))
    assert content(encoded).keys() == content(tested).keys()
    for name in ("images.safetensors", "texts.safetensors"):
        assert content(encoded)[name] == content(tested)[name]
    assert EmbeddingStore.load(encoded).caption_ids == EmbeddingStore.load(tested).caption_ids


def test_copies_that_were_killed_again_and_again_are_the_same_bytes(store):
    overrides = ("model=ucch", *NARROW["ucch"], "stage=[encode]", "dataset.copies=12")
    whole, killed = store(*overrides), store(*overrides, kills=(1, 2, 2))
    assert content(killed) == content(whole)
    tested = EmbeddingStore.load(store(*overrides[:-2], "stage=[test]", "dataset.copies=12"))
    found = EmbeddingStore.load(whole)
    assert (found.images == tested.images).all()
    assert (found.texts == tested.texts).all()
    assert (found.labels == tested.labels).all()
    assert (found.image_ids, found.caption_ids) == (tested.image_ids, tested.caption_ids)
    assert (found.correspondence.caption_to_image == tested.correspondence.caption_to_image).all()
    assert found.origin["data"] == tested.origin["data"]
    assert (whole / "manifest.json").stat().st_size < 50_000  # the ids of one copy


def test_a_network_that_gives_nan_is_named_before_the_end(store, monkeypatch):
    from fico.networks.ucch import UCCH

    monkeypatch.setattr(UCCH, "encode_images", lambda self, images: images[:, :24] * float("nan"))
    with pytest.raises(DataError, match="ucch gave NaN or infinite embeddings"):
        store("model=ucch", *NARROW["ucch"], "stage=[encode]")


def test_encoding_beside_a_test_is_refused():
    with pytest.raises(UsageError, match="leave encode out"):
        check_config(composed(*SMALL, "model=ucch", "stage=[test,encode]"))
