"""``python run.py model=cascade`` is ``fico cascade``: the same numbers, in a sweep over depths too."""

import os
from functools import partial
from pathlib import Path

from fico.bench.cascade.cascade import measure
from fico.bench.cascade.request import checked_request, read_depths
from fico.report.results.schema import read_results

ROOT = Path(__file__).resolve().parents[4]


def test_a_sweep_over_depths_measures_the_same(runs, tmp_path, warm_python):
    words = ("-m", "model=cascade", f"model.screen={runs['ucch']}", f"model.rank={runs['scan']}", "model.k=3,10%")
    call = (ROOT / "run.py", *words, "logger=none", f"hydra.sweep.dir={tmp_path}")
    run = partial(warm_python, *call, env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=tmp_path)
    done = run()
    assert done.returncode == 0, done.stderr[-3000:]
    wanted = measure(checked_request(runs["ucch"], runs["scan"], read_depths("3,10%"), None)).cascades
    for folder, system in zip(sorted(tmp_path.glob("[01]-*")), wanted, strict=True):
        found = read_results(folder)
        assert found.metrics == dict(system.metrics)
        assert found.key
        assert (folder / "config.yaml").is_file()
    again = run()
    assert again.stderr.count("nothing to do") + again.stdout.count("nothing to do") == 2
