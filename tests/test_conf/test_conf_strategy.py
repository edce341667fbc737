"""Several processes: strategies and launchers that work, and the sentence for those that do not."""

import pytest

from fico.errors import UsageError
from fico.experiment.config.strategy import check_strategy
from tests.configs import composed


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook_find_unused_parameters_true"])
@pytest.mark.parametrize("is_sweep", [False, True])
def test_a_strategy_that_copies_the_run_is_refused_with_one_that_works(strategy, is_sweep):
    with pytest.raises(UsageError, match=f"{strategy} copies a run into its processes, .*; take ddp$"):
        check_strategy(composed("trainer=ddp", f"trainer.strategy={strategy}"), is_sweep=is_sweep)


@pytest.mark.parametrize("strategy", ["ddp", "ddp_find_unused_parameters_true"])
def test_several_processes_run_one_job_and_no_sweep(strategy):
    config = composed("trainer=ddp", f"trainer.strategy={strategy}")
    check_strategy(config, is_sweep=False)
    with pytest.raises(UsageError, match=r"does not work in a sweep \(-m\); .* start one run per job"):
        check_strategy(config, is_sweep=True)


@pytest.mark.parametrize(
    ("options", "variables", "text"),
    [
        (["+trainer.num_nodes=2"], {}, r"trainer.num_nodes=2 needs processes .* torchrun --nnodes"),
        ([], {"SLURM_NTASKS": "2", "SLURM_STEP_ID": "0"}, "srun with 2 tasks needs processes"),
        (
            ["trainer.devices=1"],
            {"WORLD_SIZE": "2"},
            r"torchrun started 2 processes, .*devices=1 on 1 machines makes 1",
        ),
        (["+trainer.num_nodes=2"], {"WORLD_SIZE": "2"}, "torchrun started 2 processes, .* makes 4"),
    ],
)
def test_processes_that_would_write_the_same_folder_are_refused(monkeypatch, options, variables, text):
    torchrun = {"TORCHELASTIC_RUN_ID": "none", "RANK": "0"} if "WORLD_SIZE" in variables else {}
    for name, value in (variables | torchrun).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=text):
        check_strategy(composed("trainer=ddp", *options), is_sweep=False)


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        (["trainer.devices=1", "+trainer.num_nodes=2"], {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2"}),
        ([], {"SLURM_NTASKS": "1", "SLURM_STEP_ID": "0"}),  # a job of hydra/launcher=submitit_slurm
        ([], {"SLURM_NTASKS": "2"}),  # a batch script that calls Python itself
    ],
)
def test_processes_that_know_each_other_are_not(monkeypatch, options, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    check_strategy(composed("trainer=ddp", *options), is_sweep=False)
