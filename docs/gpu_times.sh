#!/bin/sh
# Every time of an evaluation on one GPU, as Markdown: the targets, the peers, the torch operations.
# Usage: docs/gpu_times.sh [DEVICE], from the root of the checkout, in an environment with the extra "gpu".
set -eu
device="${1:-cuda}"
python -m fico.bench.metrics --device "$device" --targets
python -m fico.bench.metrics --device "$device" --sizes 1k 5k --peers fico-itr "torch loop" torchmetrics pytorch-metric-learning
python -m fico.bench.metrics --sizes 1k 5k --operations
