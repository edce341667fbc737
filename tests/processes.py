"""One function in two processes, which are forked where torch is imported already: five seconds less for each."""

import torch

# What the test modules with such functions import; the server imports it once.
SHARED = ["pytest", "torch.distributed", "fico.evaluation.retrieval_metrics", "fico.scoring.matrix"]


def in_two_processes(function, *arguments):
    """Call ``function(rank, *arguments)`` for the ranks 0 and 1; raises what one of them raises."""
    torch.multiprocessing.get_context("forkserver").set_forkserver_preload(SHARED)
    torch.multiprocessing.start_processes(function, arguments, nprocs=2, start_method="forkserver")
