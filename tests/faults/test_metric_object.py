"""run.py computes its metrics by `fico.RetrievalMetrics` on the module's device, in one process and in two."""

import json
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("model=ucch", "dataset.images=30", "model.epochs=1", "metric.bootstrap=20", "logger=none", "index=[]")

# Python runs it as `sitecustomize` before run.py, in the process that Lightning starts too. It notes in a file per
# process what the metric was updated with, what torchmetrics gathered, and every evaluation with whether the metric's
# compute() had called it.
SPY = """
import json, os
from pathlib import Path
from callbacks.retrieval import RetrievalEvaluation
from fico.evaluation import engine, gather
from fico.evaluation.retrieval_metrics import RetrievalMetrics

inside = []

def note(event, **values):
    with open(Path(os.environ["SPY_NOTES"]) / os.environ.get("LOCAL_RANK", "0"), "a") as file:
        file.write(json.dumps({"event": event, **values}) + "\\n")

def spy(owner, name, describe):
    original = getattr(owner, name)
    def noted(*arguments, **options):
        result = original(*arguments, **options)
        note(name, **describe(*arguments))
        return result
    setattr(owner, name, noted)

compute = RetrievalMetrics.compute
def computed(self):
    inside.append(self)
    try:
        return compute(self)
    finally:
        inside.pop()
        note("compute", device=str(self.device), rows=str(self.encoded.images.device))
RetrievalMetrics.compute = computed

def started(epoch, trainer, module, *_, **__):
    return {"metric": str(epoch._metric.device), "module": str(module.device)}

spy(RetrievalMetrics, "update", lambda self, encoded: {"images": encoded.image_ids.tolist()})
spy(RetrievalEvaluation, "_start", started)
spy(engine.Evaluator, "evaluate", lambda *_: {"by_the_metric": bool(inside)})
spy(gather, "gather_all_tensors", lambda rows, group: {"rows": len(rows)})
"""


def notes_of_run(python, folder, *arguments):
    """Notes of each process, and what was printed on standard error."""
    for name in ("notes", "spy"):
        (folder / name).mkdir()
    (folder / "spy" / "sitecustomize.py").write_text(SPY)
    paths = os.pathsep.join([str(folder / "spy"), str(ROOT)])
    variables = {**os.environ, "PYTHONPATH": paths, "SPY_NOTES": str(folder / "notes")}
    done = python("run.py", f"hydra.run.dir={folder / 'run'}", *SMALL, *arguments, env=variables)
    assert done.returncode == 0, done.stderr[-3000:]
    processes = sorted((folder / "notes").iterdir())
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in processes], done.stderr


def events(notes, name):
    return [note for note in notes if note["event"] == name]


@pytest.mark.parametrize(("trainer", "device"), [("cpu", "cpu"), pytest.param("gpu", "cuda:0", marks=pytest.mark.gpu)])
def test_every_number_of_a_run_comes_from_the_metric_on_the_modules_device(warm_python, tmp_path, trainer, device):
    (notes,), _ = notes_of_run(warm_python, tmp_path, f"trainer={trainer}")
    assert [(note["metric"], note["module"]) for note in events(notes, "_start")] == 2 * [(device, device)]
    assert [note["rows"] for note in events(notes, "compute")] == [device, device]  # validation and test
    assert [note["by_the_metric"] for note in events(notes, "evaluate")] == [True, True]
    assert len(events(notes, "update")) >= 4
    assert not events(notes, "gather_all_tensors")


def test_two_processes_share_the_rows_by_torchmetrics_alone(warm_python, tmp_path):
    processes, printed = notes_of_run(warm_python, tmp_path, "trainer=ddp", "trainer.accelerator=cpu")
    shares = []
    for notes in processes:
        assert [note["by_the_metric"] for note in events(notes, "evaluate")] == [True, True]
        assert len(events(notes, "compute")) == 2
        assert len(events(notes, "gather_all_tensors")) > 0
        shares.append({row for note in events(notes, "update") for row in note["images"]})
    assert len(shares) == 2
    assert shares[0].isdisjoint(shares[1])
    assert "sync_dist" not in printed
    assert "Warning" not in printed
