"""Attention at the paper's sizes: measured ones as they are, others at the seconds a pair of the largest."""

from dataclasses import replace

import pytest

from fico.report.paper.cost.attention_times import AttentionTimes, attention_sizes_table, most_pairs
from fico.report.results.schema import ModelInfo


def rows(rule, per_pair, sizes, k=None, start=0.0):
    found = []
    for images in sizes:
        own = None if k is None else k if rule == "fixed" else k * images // 1000
        pairs = most_pairs(images, own)
        found.append({"images": images, "captions": 5 * images, "rule": rule, "k": own, "pairs": pairs,
                      "seconds": start + per_pair * pairs, "cpu_seconds": 2 * per_pair * pairs})  # fmt: skip
    return found


@pytest.fixture
def scan(results):
    """A run of SCAN at paper size whose attention was measured on 500 and 1,000 images."""
    model = ModelInfo("scan", "fine", "paper", 1024, None, "float32", query_time_attention=True)
    return replace(results, model=model, efficiency={"attention": rows("all", 1e-6, (500, 1000))}, search=())


def texts(table, heading, kind="run"):
    column = [column.heading for column in table.columns].index(heading)
    return [row.texts[column] for row in table.rows if row.kind == kind]


def test_all_pairs_grow_with_the_square_and_fixed_candidates_do_not():
    every = AttentionTimes.of("all", None, rows("all", 1e-6, (500, 1000)))
    assert every.at(1000).is_measured
    assert every.at(1000).seconds == pytest.approx(5.0)
    assert (every.at(100_000).seconds, every.at(100_000).is_measured) == (pytest.approx(5e4), False)
    fixed = AttentionTimes.of("fixed", 128, rows("fixed", 1e-3, (500, 1000), k=128))
    assert fixed.at(100_000).seconds == pytest.approx(1e-3 * 6 * 128 * 100_000)
    scaled = AttentionTimes.of("scaled", 128, rows("scaled", 1e-3, (500, 1000), k=128))
    assert scaled.at(100_000).seconds == pytest.approx(1e-3 * 6 * 12_800 * 100_000)


def test_a_larger_size_is_never_below_the_seconds_a_pair_of_the_largest_measured_one():
    found = rows("all", 1e-6, (250, 500, 1000), start=0.5)  # which a line would start at
    times = AttentionTimes.of("all", None, found)
    assert times.at(10_000).seconds == pytest.approx(100 * found[-1]["seconds"])
    assert times.error == pytest.approx(4 * found[1]["seconds"] / found[2]["seconds"] - 1)
    assert AttentionTimes.of("all", None, found[:1]).error is None


def test_a_size_without_processor_time_counts_and_others_give_it():
    found = rows("all", 1e-6, (500, 1000))
    found[1]["cpu_seconds"] = None
    times = AttentionTimes.of("all", None, found)
    assert times.cpu_per_pair == pytest.approx(2e-6)
    assert max(times.measured) == 1000
    assert AttentionTimes.of("all", None, found[1:]).cpu_per_pair is None


def test_the_exponent_is_of_the_measured_sizes_alone(scan):
    table = attention_sizes_table([scan])
    assert [texts(table, f"attention {size}") for size in ("1K / 5K", "10K / 50K", "100K / 500K")] == [
        ["5.00 s"], ["~500.00 s"], ["~833.3 min"],
    ]  # fmt: skip
    names = ("scored", "µs per pair", "CPU µs per pair", "exponent", "error, %", "images measured")
    assert [texts(table, name)[0] for name in names] == ["all pairs", "1.00", "2.00", "2.00", "+0.0", "500, 1,000"]
    linear = [row | {"seconds": row["images"] / 1000} for row in rows("all", 1e-6, (500, 1000))]
    assert texts(attention_sizes_table([replace(scan, efficiency={"attention": linear})]), "exponent") == ["1.00"]
    single = attention_sizes_table([replace(scan, efficiency={"attention": linear[:1]})])
    assert [texts(single, name) for name in ("exponent", "error, %")] == [["–"], ["–"]]
    assert attention_sizes_table([replace(scan, efficiency={})]) is None


@pytest.mark.parametrize(
    ("name", "rule", "exponent", "largest"),
    [
        ("scan", "all", "1.87", "~2,142.2 min"),
        ("imram", "all", "1.81", "~14.1 days"),
        ("blip2", "fixed", "1.01", "~2.8 days"),
        ("xvlm", "fixed", "1.00", "~617.9 min"),
    ],
)
def test_the_papers_row_is_filled_by_the_same_rule_from_its_two_cells(scan, name, rule, exponent, largest):
    found = rows(rule, 1e-6, (500, 1000), k=None if rule == "all" else 128)
    table = attention_sizes_table(
        [replace(scan, model=replace(scan.model, name=name), efficiency={"attention": found})]
    )
    assert texts(table, "exponent", "paper") == [exponent]
    assert texts(table, "attention 100K / 500K", "paper") == [largest]
    assert texts(table, "images measured", "paper") == ["1,000, 10,000"]
    assert texts(table, "CPU µs per pair", "paper") == ["–"]
    assert any("A100" in note and "Xeon Platinum 8480+" in note for note in table.notes)


@pytest.mark.parametrize(
    ("size", "rule", "k"), [("tiny", "fixed", 128), ("paper", "scaled", 128), ("paper", "fixed", 64)]
)
def test_another_size_rule_or_k_has_no_row_of_the_paper(scan, size, rule, k):
    model, found = replace(scan.model, name="blip2", size=size), rows(rule, 1e-6, (500, 1000), k=k)
    table = attention_sizes_table([replace(scan, model=model, efficiency={"attention": found})])
    assert [row.kind for row in table.rows] == ["run"]


def test_a_scaled_k_is_read_off_the_largest_size_wherever_its_row_stands(scan):
    found = rows("scaled", 1e-6, (250, 1014), k=127)
    blip = replace(scan.model, name="blip2")
    table = attention_sizes_table([replace(scan, model=blip, efficiency={"attention": found[::-1]})])
    assert texts(table, "scored") == ["k = 127 for each 1,000 images"]


OTHERS = {
    "data": {"data": ("coco", "cd" * 32)},
    "contents": {"data": ("shapes", "ef" * 32)},
    "processor": {"hardware": {"cpu": "another CPU"}},
    "threads": {"hardware": {"cpu": "a CPU", "threads": 1}},
    "GPU": {"hardware": {"cpu": "a CPU", "gpu": "a GPU"}},
    "precision": {"config": {"model": {"name": "scan", "precision": "bf16"}}},
    "products": {"config": {"model": {"name": "scan"}, "throughput": {"matmul_precision": "high"}}},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_runs_of_other_data_machines_or_precisions_share_no_row(scan, other):
    def changed(efficiency):
        found = dict(other)
        if "data" in found:
            name, fingerprint = found["data"]
            found["data"] = replace(scan.data, name=name, fingerprint=fingerprint)
        return replace(scan, seed=1, efficiency={"attention": efficiency}, **found)

    table = attention_sizes_table([scan, changed(rows("all", 3e-6, (500, 1000)))])
    assert sorted(texts(table, "attention 1K / 5K")) == ["15.00 s", "5.00 s"]
    assert len({row.texts[:4] for row in table.rows if row.kind == "run"}) == 2 or "data" in other
    same = replace(scan, seed=1, efficiency={"attention": rows("all", 3e-6, (500, 1000))})
    assert texts(attention_sizes_table([scan, same]), "attention 1K / 5K") == ["10.00 s"], "seeds do"


def test_a_run_on_the_cpu_of_a_machine_with_a_gpu_is_no_run_on_the_gpu(scan):
    hardware = {"cpu": "a CPU", "gpu": "a GPU"}
    runs = [
        replace(scan, hardware=hardware),
        replace(scan, seed=1, hardware=hardware, config={**scan.config, "trainer": {"accelerator": "cpu"}}),
    ]
    table = attention_sizes_table(runs)
    assert texts(table, "machine") == ["1", "2"]
    assert {note for note in table.notes if note.startswith("Machine")} == {
        "Machine 1: a GPU, a CPU, float32.", "Machine 2: a CPU, float32.",
    }  # fmt: skip
    assert "Times of different machines or precisions must not be compared." in table.notes
