"""Random inputs for all readers, `fico.evaluate`, index files and the overrides of ``run.py``.

    python tests/fuzz.py --inputs 100000 --seed 0 [--seconds S] [--only NAME ...] [--batch N]

An input is answered well if it is read, or refused by a `FicoError` of one sentence. It is a *traceback* if anything
else is raised, a *crash* if the interpreter ends or takes ten minutes, and a *wrong accept* if a changed file with a
digest gives other values, or an evaluation that is accepted gives a number that its definition excludes or a plain
second computation does not. Each is printed with the seed that repeats it; the exit code is 1 if there is any.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from fuzz_batches import Outcome, outcomes  # noqa: E402  from the folder of this file
from fuzz_targets import READERS, Reader  # noqa: E402

from fico.errors import FicoError  # noqa: E402

Fault = tuple[str, str]  # kind, what was seen
ODD = [None, True, 0, -1, 2**70, 1.5, float("nan"), float("inf"), "", "x", "\u2028", [], {}, [[]], [None], {"a": 1}]


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Bytes as a broken disk, a cut download, an editor or a proxy leaves them."""
    at, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    flips = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 40)) if data else 0):
        flips[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return chance.choice(
        (
            bytes(flips), bytes(flips), bytes(flips), data[:at], data[at:], b"", data[:at] + data[end:],
            data[:at] + bytes(end - at) + data[end:], data[:at] + chance.randbytes(9) + data[at:], data + data,
            data[:at] + "\u2028é\x85".encode() + data[at:], b"\xef\xbb\xbf" + data, b"<!DOCTYPE html><p>404</p>",
            data[:at] + b"\xff\xfe" + data[at:], data.replace(b"1", b"-1"), data.replace(b"\n", b"\r\n"), data + b"\0",
            data[:at] + data[at : at + 9][::-1] + data[at + 9 :], chance.randbytes(64),
        )
    )  # fmt: skip


def altered(plain: Any, chance: random.Random) -> Any:
    """A JSON value with one part replaced, left out or repeated."""
    if isinstance(plain, dict) and plain and chance.random() < 0.9:
        key = chance.choice(list(plain))
        if chance.random() < 0.15:
            return {name: value for name, value in plain.items() if name != key}
        return plain | {key: altered(plain[key], chance)}
    if isinstance(plain, list) and plain and chance.random() < 0.85:
        row = chance.randrange(len(plain))
        if chance.random() < 0.2:
            return plain[:row] + plain[row + 1 :] if chance.random() < 0.5 else plain + [plain[row]]
        return [*plain[:row], altered(plain[row], chance), *plain[row + 1 :]]
    return chance.choice(ODD)


def damage(path: Path, chance: random.Random) -> None:
    """Damage a file in place."""
    data = path.read_bytes()
    if path.suffix == ".json" and chance.random() < 0.6:
        path.write_text(json.dumps(altered(json.loads(data), chance)), encoding="utf-8")
    elif chance.random() < 0.03:
        path.unlink()
    elif chance.random() < 0.03:
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(damaged(data, chance))


def fault_of(call: Callable[[], Any]) -> tuple[Any, Fault | None]:
    """The result of a call, or None where it was refused; and what is wrong with how it ended."""
    try:
        return call(), None
    except FicoError as error:
        text = str(error)
        return None, None if text and "\n" not in text.strip() else ("no sentence", repr(text)[:300])
    except MemoryError as error:
        return None, ("traceback", f"MemoryError: {error}")
    except Exception as error:
        frame, last = None, error.__traceback__
        while last is not None:
            if "/fico/" in last.tb_frame.f_code.co_filename:
                frame = f"{last.tb_frame.f_code.co_filename.partition('/fico/')[2]}:{last.tb_lineno}"
            last = last.tb_next
        return None, ("traceback", f"{type(error).__name__} at {frame}: {' '.join(str(error).split())[:150]}")


def is_equal(a: Any, b: Any) -> bool:
    """Whether two results of a reader hold the same values."""
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(is_equal, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(is_equal(a[key], b[key]) for key in a)
    return bool(np.array_equal(np.asarray(a), np.asarray(b)))


class Files:
    """Damages the files of one reader, one at a time."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.original, self.copy = reader, folder / "original", folder / "copy"
        self.original.mkdir(parents=True)
        reader.make(self.original)
        self.value = reader.read(self.original)

    def __call__(self, chance: random.Random) -> Fault | None:
        """Try one damage."""
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.original, self.copy)
        files = sorted(path for path in self.copy.rglob("*") if path.is_file())
        path = chance.choice(files)
        before = path.read_bytes()
        damage(path, chance)
        value, fault = fault_of(lambda: self.reader.read(self.copy))
        if fault is None and value is not None and self.reader.is_sealed and not is_equal(value, self.value):
            same = path.is_file() and path.read_bytes() == before
            return ("wrong accept", f"{path.name} changed ({not same}), and its values are others")
        return fault and (fault[0], f"{path.name}: {fault[1]}")


VALUES = (
    None,
    "",
    "x",
    0,
    1,
    -1,
    3,
    2.5,
    float("nan"),
    10**30,
    True,
    (),
    [],
    [1, 1],
    (1, 5),
    [0],
    {},
    "auto",
    object(),
)
OPTIONS = (
    "tasks", "ties", "ap", "empty", "recall", "median", "recall_at", "map_at", "metrics", "folds", "bootstrap", "seed",
    "device", "engine", "memory_limit", "block", "progress", "shard", "tie", "k",
)  # fmt: skip
GOOD = {"folds": (1, 2), "bootstrap": (0, 5), "ties": ("expected", "index"), "block": (1, 3), "engine": ("torch",)}


def evaluation(chance: random.Random) -> Fault | None:
    """One call of `fico.evaluate` or `fico.evaluate_scores`."""
    import fico

    generator = np.random.default_rng(chance.getrandbits(32))
    images, texts, dim = chance.choice((1, 2, 5, 9)), chance.choice((1, 3, 7, 18)), chance.choice((1, 3, 8))
    similarity = chance.choice(("cosine", "inner", "euclidean", "hamming", "cosine", "dot", None, 3))
    sides = [_rows(chance, generator, count, dim) for count in (images, texts)]
    arguments: dict[str, Any] = {"bootstrap": 0}
    for _ in range(chance.choice((0, 0, 1, 2))):
        name = chance.choice(OPTIONS)
        arguments[name] = chance.choice(GOOD.get(name, VALUES) if chance.random() < 0.5 else VALUES)
    if chance.random() < 0.3:
        arguments["labels"] = chance.choice(
            (*VALUES, generator.random((images, 3)) < 0.5, generator.integers(0, 3, (images, 2)), np.ones(images))
        )
    rows_of = generator.integers(0, images + (chance.random() < 0.1), texts - (chance.random() < 0.1))
    if chance.random() < 0.3:
        similarity_name = {} if chance.random() < 0.9 else {"similarity": similarity}
        i2t = _rows(chance, generator, images, texts)

        def call() -> Any:
            return fico.evaluate_scores(
                i2t=i2t, t2i=chance.choice((None, i2t)), correspondence=fico.Correspondence(rows_of),
                **(arguments | similarity_name),
            )  # fmt: skip

        return _checked(call, None, is_shard="shard" in arguments)
    if chance.random() < 0.1:
        arguments["bits"] = chance.choice(VALUES)

    def evaluate() -> Any:
        correspondence = fico.Correspondence(rows_of if chance.random() < 0.95 else chance.choice(VALUES))
        return fico.evaluate(*sides, correspondence, similarity=similarity, **arguments)

    is_plain = similarity == "inner" and "folds" not in arguments and "ties" not in arguments
    return _checked(evaluate, (*sides, rows_of) if is_plain else None, is_shard="shard" in arguments)


def _rows(chance: random.Random, generator: np.random.Generator, count: int, dim: int) -> Any:
    count, dim = count + (chance.random() < 0.05), dim + (chance.random() < 0.05)
    rows = generator.normal(size=(count, dim))
    if chance.random() < 0.15:
        rows[generator.integers(0, count), 0] = chance.choice((np.nan, np.inf, -np.inf, 1e300, 1e-300, 0))
    kind = chance.random()
    with np.errstate(all="ignore"):
        return _typed(chance, rows, kind)


def _typed(chance: random.Random, rows: np.ndarray, kind: float) -> Any:
    if kind < 0.5:
        return rows.astype(chance.choice((np.float16, np.float32, np.float64)))
    if kind < 0.7:
        return np.where(rows > 0, 1, -1).astype(chance.choice((np.int8, np.float32, np.int64)))
    if kind < 0.8:
        return (rows > 0).astype(chance.choice((np.uint8, bool, np.float32)))
    if kind < 0.85:
        return rows.tolist()
    return chance.choice(
        (
            *VALUES,
            rows[0],
            rows[None],
            rows.astype(str),
            rows.astype(complex),
            rows[:0],
            rows[:, :0],
            rows.astype(object),
        )
    )


def _checked(call: Callable[[], Any], plain: tuple[Any, Any, Any] | None, *, is_shard: bool) -> Fault | None:
    result, fault = fault_of(call)
    if fault or result is None:
        return fault
    for name, metric in result.metrics.items():
        least, most = (1, np.inf) if name.endswith(("MedR", "MeanR")) else (0, 6 if "RSUM" in name else 1)
        value = float(getattr(metric, "value", metric))
        if np.isnan(value) and is_shard:  # a shard without queries
            continue
        if not (np.isfinite(value) and least <= value <= most + 1e-9):
            return ("wrong accept", f"{name} is {value}")
    if plain is not None and all(isinstance(side, np.ndarray) and side.dtype == np.float64 for side in plain[:2]):
        return _second_computation(result, *plain)
    return None


def _second_computation(result: Any, images: np.ndarray, texts: np.ndarray, rows_of: np.ndarray) -> Fault | None:
    """R@1 from captions to images by a plain argmax, where no scores are equal."""
    scores = texts @ images.T
    found = result.metrics.get("instance/t2i/R@1")
    if found is None or not np.isfinite(scores).all() or any(len(set(row)) < len(row) for row in scores.tolist()):
        return None
    wanted = float((scores.argmax(axis=1) == rows_of).mean())
    value = float(getattr(found, "value", found))
    return None if abs(value - wanted) < 1e-6 else ("wrong accept", f"t2i R@1 is {value}, and should be {wanted}")


KEYS = (
    "model", "model.lr", "lr", "model.bits", "model.epochs", "model.module", "model.module.optimizer.lr",
    "model.weights", "model.size", "model.monitor", "model.batch_size", "model.precision", "model.rerank.k",
    "dataset", "dataset.root", "dataset.split", "dataset.images", "dataset.subset", "dataset.captions_per_image",
    "dataset.protocol", "dataset.protocol_queries", "dataset.protocol_files",
    "metric", "metric.ties", "metric.ap", "metric.bootstrap", "metric.folds", "metric.recall_at", "metric.tasks",
    "metric.metrics", "metric.device", "index", "index.flat", "trainer", "trainer.devices", "trainer.max_epochs",
    "trainer.precision", "trainer.strategy", "logger", "logger.mode", "logger.wandb", "callbacks", "callbacks.lines",
    "callbacks.retrieval", "callbacks.search", "stage", "seed", "name", "run", "run.resume", "experiment", "debug",
    "features", "bench", "hydra.run.dir", "x", "", "model.", ".a",
)  # fmt: skip
WORDS = (
    "null", "0", "1", "-1", "abc", "[]", "[1,2]", "{a: 1}", "{}", "true", "1.5", "nan", "1e400",
    "99999999999999999999", "''", '"', "'", "a=b", "a,b", "a b", "ä", "[test]", "test", "fit", "[fit", "ucch", "vsrn",
    "cca", "xvlm", "shapes", "coco", "karpathy", "/nowhere", "tiny", "paper", "both", "category", "table2", "table5",
    "table7", "fast", "cpu", "gpu", "${seed}", "${nothing}", "${by_size:}", "???", "[${a}]", "val/instance/mean/R@10",
    "flat", "[flat,hnsw]", "offline", "\u2028", "\\", "(", "range(1,3)", "choice(1,2)", "glob(*)", "int(x)", "never",
    "16", "64",
)  # fmt: skip


def override(chance: random.Random) -> Fault | None:
    """One command line of ``run.py``, composed and checked as a run does before it starts."""
    count = chance.choice((1, 1, 2, 3))
    line = [f"{chance.choice(('', '', '', '+', '++', '~'))}{chance.choice(KEYS)}" for _ in range(count)]
    line = [key if key.startswith("~") and chance.random() < 0.5 else f"{key}={chance.choice(WORDS)}" for key in line]

    _, fault = fault_of(lambda: compose_and_check(line))
    return fault and (fault[0], f"{' '.join(line)}: {fault[1]}")


def compose_and_check(line: list[str]) -> str:
    """What ``run.py`` does with a command line before it starts."""
    from hydra import compose

    from fico.experiment.config.checks import check_config
    from fico.experiment.config.hydra_errors import is_wrong_usage, sentence
    from fico.experiment.config.pairing import check_data, check_pairing
    from fico.experiment.config.quoting import quoted

    try:
        config = compose("config", quoted(line))
        check_pairing(config)
        check_data(config)
        check_config(config, is_start=True)
    except Exception as error:
        if is_wrong_usage(error):
            raise FicoError(sentence(error)) from None
        raise
    return "accepted"


def targets(folder: Path, only: list[str] | None = None) -> dict[str, Callable[[random.Random], Fault | None]]:
    """All kinds of inputs by name."""
    chosen = {name: reader for name, reader in READERS.items() if only is None or name in only}
    found: dict[str, Callable[[random.Random], Fault | None]] = {
        name: Files(reader, folder / name.replace(" ", "_")) for name, reader in chosen.items()
    }
    if only is None or "evaluate" in only:
        found["evaluate"] = evaluation
    if only is None or "overrides" in only:
        _initialize()
        found["overrides"] = override
    return found


def _initialize() -> None:
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from fico.experiment.config.resolvers import register_resolvers
    from fico.experiment.resume.run_folder import register_run_folder

    register_resolvers()
    register_run_folder()
    GlobalHydra.instance().clear()
    initialize_config_dir(str(ROOT / "conf"), version_base="1.3")


def kind_names(only: list[str] | None) -> list[str]:
    """The kinds in turn; evaluations and command lines six times as often as each kind of file."""
    names = [name for name in (*READERS, "evaluate", "overrides") if only is None or name in only]
    return [name for name in names for _ in range(6 if name in ("evaluate", "overrides") else 1)]


def main() -> int:
    """Fuzz as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=np.inf, help="stop after so many")
    parser.add_argument("--only", nargs="+", help="kinds of inputs")
    parser.add_argument("--batch", type=int, default=2000, help="inputs of one child process")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    names = kind_names(arguments.only)
    tried, wrong, seen = Counter[str](), Counter[str](), Counter[str]()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:

        def prepare() -> Callable[[int], Outcome]:
            kinds = targets(Path(tempfile.mkdtemp(dir=folder)), arguments.only)

            def one(number: int) -> Outcome:
                name = names[number % len(names)]
                return number, name, kinds[name](random.Random(f"{arguments.seed}/{number}"))

            return one

        for number, name, fault in outcomes(
            prepare, lambda number: names[number % len(names)], arguments.inputs, arguments.batch
        ):
            tried[name] += 1
            if fault:
                wrong[fault[0]] += 1
                alike = f"{name}: {fault[0]}: {fault[1]}".replace(folder, "")
                seen[alike[:110]] += 1
                if seen[alike[:110]] == 1:
                    _say(f"input {number} of seed {arguments.seed}: {alike}")
            if tried.total() % 10_000 == 0:
                _say(f"{tried.total()} inputs, {wrong.total()} findings")
            if time.monotonic() - begin > arguments.seconds:
                break
    _say(f"{tried.total()} inputs ({', '.join(f'{name} {count}' for name, count in tried.items())})")
    _say(
        f"{wrong['traceback']} tracebacks, {wrong['crash']} crashes, {wrong['wrong accept']} wrong accepts, "
        f"{wrong['no sentence']} answers of more than one line"
    )
    return 1 if wrong.total() else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
