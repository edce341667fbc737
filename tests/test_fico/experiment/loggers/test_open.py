"""Loggers: a null key takes the run's value, every other value is the user's, and any logger of Lightning is opened."""

from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

from fico.errors import UsageError
from fico.experiment.efficiency import efficiency
from fico.experiment.loggers.open import open_loggers
from fico.run_context import EpochOutputs
from fico.types import EncodedBatch
from tests.configs import composed
from tests.wandb_file import read_offline_run

pytestmark = pytest.mark.filterwarnings("ignore:Experiment logs directory")
RUN = {"name": "run", "group": "sweep", "job_type": "fit+test", "tags": ["fine", "shapes"], "config": {"seed": 0}}


def configured(*overrides):
    return composed(*overrides).logger


def test_the_runs_values_fill_what_is_null(tmp_path):
    with open_loggers(configured(), tmp_path, RUN) as loggers:
        loggers[0].log_metrics({"x": 1})
    run = read_offline_run(tmp_path).run
    assert (run.display_name, run.run_group, run.job_type, list(run.tags)) == ("run", "sweep", "fit+test", RUN["tags"])


def test_what_wandb_does_not_take_is_refused_in_a_sentence(tmp_path):
    with (
        pytest.raises(UsageError, match="^W&B does not take what logger.wandb says: .*project.*; correct it, or add"),
        open_loggers(configured("logger.wandb.project=3"), tmp_path, RUN),
    ):
        pass


@pytest.mark.parametrize("add", ["", "+"])
def test_the_users_values_are_kept(tmp_path, add):
    overrides = [f"{add}logger.wandb.tags=[x,y]", f"{add}logger.wandb.group=mine", f"{add}logger.wandb.name=own"]
    with open_loggers(configured(*overrides), tmp_path, RUN):
        pass
    run = read_offline_run(tmp_path).run
    assert (run.display_name, run.run_group, list(run.tags)) == ("own", "mine", ["x", "y"])


VARIABLES = {"WANDB_NAME": "mine", "WANDB_RUN_GROUP": "ours", "WANDB_TAGS": "x,y", "WANDB_PROJECT": "theirs"}


def test_the_variables_of_wandb_count_where_the_config_is_silent(tmp_path, monkeypatch):
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    with open_loggers(configured(), tmp_path / "a", RUN):
        pass
    run = read_offline_run(tmp_path / "a").run
    assert (run.display_name, run.run_group, list(run.tags), run.project) == ("mine", "ours", ["x", "y"], "theirs")
    assert run.job_type == "fit+test"
    config = configured("logger.wandb.name=own", "logger.wandb.tags=[z]", "logger.wandb.project=here")
    with open_loggers(config, tmp_path / "b", RUN):
        pass
    run = read_offline_run(tmp_path / "b").run
    assert (run.display_name, run.run_group, list(run.tags), run.project) == ("own", "ours", ["z"], "here")


@pytest.mark.parametrize(("mode", "is_written"), [("disabled", False), ("offline", True), (None, True)])
def test_wandb_mode_is_respected(tmp_path, monkeypatch, mode, is_written):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if mode is not None:
        monkeypatch.setenv("WANDB_MODE", mode)
    with open_loggers(configured(), tmp_path, RUN) as loggers:
        assert len(loggers) == 2
    assert any(tmp_path.glob("wandb/offline-run-*")) is is_written


class Broken(CSVLogger):
    """Takes one record."""

    def log_metrics(self, metrics, step=None):
        raise OSError("disk full")


def test_a_failing_logger_is_muted_with_a_warning(tmp_path, caplog):
    add = [f"+logger.mine._target_={__name__}.Broken", f"+logger.mine.save_dir={tmp_path}"]
    with open_loggers(configured("logger=none", *add), tmp_path, RUN) as (logger,):
        for step in range(3):
            logger.log_metrics({"x": 1.0}, step)
        logger.save()
        logger.finalize("success")
    assert [record.message for record in caplog.records] == ["logger.mine is muted, as it failed: OSError: disk full"]


def test_a_logger_that_the_user_adds_is_opened(tmp_path):
    add = ["+logger.mine._target_=pytorch_lightning.loggers.CSVLogger", f"+logger.mine.save_dir={tmp_path}/mine"]
    with open_loggers(configured("logger=none", *add), tmp_path, RUN) as (logger,):
        assert logger.save_dir == f"{tmp_path}/mine"
        assert logger.name == "lightning_logs"


def test_times_and_sizes_are_measured_where_they_can_be():
    vectors, ids = torch.ones(4, 8), torch.arange(4)
    outputs = EpochOutputs(
        EncodedBatch(vectors, ids, vectors, ids),
        encode_seconds=2.0,
        encode_wall_seconds=3.0,
        peak_memory_bytes=5,
        flops_per_item=7.0,
    )
    split = SimpleNamespace(image_ids="abcd", caption_ids="efgh")
    inputs = SimpleNamespace(bytes_per_image=10, bytes_per_text=1)
    data = SimpleNamespace(splits={"test": split}, test_split="test", inputs=inputs)
    assert efficiency(outputs, data, None) == {
        "encode_seconds": 2, "encode_wall_seconds": 3, "items_per_second": 4, "attention_seconds": 0,
        "peak_memory_bytes": 5, "flops_per_item": 7, "embedding_bytes": 256, "unpacked_embedding_bytes": 256,
        "feature_bytes": 44,
    }  # fmt: skip


def test_codes_count_eight_bits_a_byte():
    codes, ids = torch.ones(4, 16), torch.arange(4)
    outputs = EpochOutputs(EncodedBatch(codes, ids, codes, ids, image_states=torch.zeros(4, 2)))
    data = SimpleNamespace(splits={}, test_split="test")
    wanted = {"embedding_bytes": 16, "unpacked_embedding_bytes": 128, "feature_bytes": 32}
    assert efficiency(outputs, data, 16) == wanted
