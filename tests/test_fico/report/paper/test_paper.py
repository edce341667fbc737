"""The paper's tables from runs written by our own writer."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fico.cli.app import app
from fico.errors import UsageError
from fico.experiment.efficiency import efficiency
from fico.report.paper.figures import precision_recall_figure
from fico.report.paper.published_metrics import paper_model
from fico.report.paper.report import paper_report
from fico.report.results.metric import Metric
from fico.report.results.per_query import QueryTable, read_queries
from fico.report.results.runs import find_runs
from fico.report.results.schema import DataInfo, ModelInfo, Results, SearchRow, write_results
from fico.report.results.seeds import group_seeds
from fico.report.table.markdown import as_markdown
from fico.run_context import EpochOutputs
from fico.types import EncodedBatch

FAMILIES = {"ucch": "coarse", "dadh": "coarse", "adv": "coarse", "scan": "fine", "vsrn": "fine", "xvlm": "vlp"}


def metrics_of(value, split="test"):
    """Every metric a table needs; at instance level ``value``, at category level half of it, chance a tenth."""
    found = {}
    for way in ("i2t", "t2i"):
        for task, factor, names in (
            ("instance", 1, [f"R@{k}" for k in (1, 5, 10, 50, 100, 200)]),
            ("category", 0.5, ["mAP@10", "mAP@100", "mAP@N", *(f"PR@{n / 10:.1f}" for n in range(11))]),
        ):
            for name in names:
                at = value * factor
                found[f"{split}/{task}/{way}/{name}"] = Metric(
                    at, at - 0.01, at + 0.01, 4, f"{name} is; ties: expected; 4"
                )
                found[f"{split}/{task}/{way}/chance/{name}"] = Metric(0.05, 0.05, 0.05, 4, "chance; 4 queries")
    return found


def results(model="ucch", bits=64, seed=0, value=0.5, data=None, size="tiny", config=None, **changed):
    if isinstance(model, ModelInfo):
        return replace(results(seed=seed, value=value, data=data, config=config, **changed), model=model)
    is_hash = model in ("ucch", "dadh", "adv")
    bits = bits if is_hash else None
    data = data or DataInfo("shapes", "test", 100, 500, 20, "ab" * 32)
    plain = {
        "model": {"name": model, "epochs": 2, "weights": None, "checkpoint": None, "loss": {"seed": seed}},
        "dataset": {"root": f"folder{seed}"},
        "metric": {"ties": "expected", "bootstrap": 1000},
        "stage": ["fit", "test"],
        "seed": seed,
        "name": f"{model}-s{seed}",
    }
    for key, leaves in (config or {}).items():
        plain[key] = {**plain.get(key, {}), **leaves} if isinstance(leaves, dict) else leaves
    made = Results(
        name=f"{model}-s{seed}",
        seed=seed,
        started="2026-01-02T03:04:05+00:00",
        seconds=1.0,
        commit="c" * 40,
        model=ModelInfo(
            model, FAMILIES[model], size, 32, bits, "bits" if bits else "float32", model in ("scan", "xvlm")
        ),
        data=data,
        metrics=metrics_of(value, data.split),
        efficiency={
            "encode_seconds": 0.6,
            "attention_seconds": 2.0 if model == "scan" else 0.0,
            "embedding_bytes": 600 * (bits // 8 if bits else 128),
            "unpacked_embedding_bytes": 600 * (bits or 128),
        },
        search=(),
        versions={},
        hardware={"cpu": "a CPU", "threads": 2},
        config=plain,
    )
    return replace(made, **changed)


def filled(*runs):
    return {table.key: table for table in paper_report(runs).tables}


def cells(table, kind="run"):
    return [[cell.text for cell in row.cells] for row in table.rows if row.kind == kind]


def under(table, *headings, kind="run"):
    """Texts of each row of a kind below the headings."""
    names = [column.heading for column in table.columns]
    return [[row.cells[names.index(heading)].text for heading in headings] for row in table.rows if row.kind == kind]


def cell(table, row, heading):
    return table.rows[row].cells[[column.heading for column in table.columns].index(heading)]


ENCODING = [f"encoding {size}" for size in ("1K / 5K", "10K / 50K", "100K / 500K", "1M / 5M")]
STORED = "embeddings 1M / 5M"
ATTENDED = "for attention 1M / 5M"
FLICKR = DataInfo("flickr30k", "test", 1000, 5000, 80, "ef" * 32)


class TestAverages:
    def test_seeds_of_one_setting_are_one_row_with_mean_and_sample_deviation(self):
        table = filled(results(seed=0, value=0.50), results(seed=1, value=0.56), results(seed=2, value=0.53))[
            "table2-shapes"
        ]
        (row,) = [row for row in table.rows if row.kind == "run"]
        assert [cell.text for cell in row.cells[:4]] == ["ucch", "64", "tiny", "0, 1, 2"]
        assert (row.cells[4].text, row.cells[4].note) == ("53.00", "± 3.00")
        assert row.cells[4].numbers[""] == pytest.approx(53)
        assert row.cells[4].numbers["sd"] == pytest.approx(np.std([50, 56, 53], ddof=1))

    def test_one_run_keeps_its_interval(self):
        row = filled(results(value=0.5))["table2-shapes"].rows[0]
        assert (row.cells[4].text, row.cells[4].note) == ("50.00", "49.0–51.0")

    def test_another_epoch_count_is_another_row_that_says_so(self):
        runs = [results(seed=0), results(seed=0, config={"model": {"epochs": 9}})]
        assert [row[0] for row in cells(filled(*runs)["table2-shapes"])] == ["ucch (epochs=2)", "ucch (epochs=9)"]

    def test_the_source_of_a_hash_head_is_named_by_its_folder_and_stands_for_what_follows_from_it(self):
        sources = ("runs/12-00-00-123456-vsrn-shapes-s0", "sweep/3-cca-shapes-s0", None)
        modules = [
            {"network": {"image_dim": dim}, "loss": {"source": source}}
            for source, dim in zip(sources, (128, 64, 392), strict=True)
        ]
        runs = [
            results(config={"model": {"source": source, "module": module}})
            for source, module in zip(sources, modules, strict=True)
        ]
        labels = [group.label for group in group_seeds(runs)]
        assert labels == [f"ucch, 64 bits (source={name})" for name in ("vsrn-shapes-s0", "cca-shapes-s0", None)]

    def test_a_size_that_alone_differs_is_still_named(self):
        runs = [results(config={"model": {"module": {"network": {"image_dim": dim}}}}) for dim in (1, 2)]
        assert [group.difference for group in group_seeds(runs)] == ["network.image_dim=1", "network.image_dim=2"]

    def test_paths_seeds_and_resamples_make_no_setting(self):
        other = results(
            seed=1, config={"dataset": {"root": "elsewhere"}, "metric": {"bootstrap": 10}, "index": {"a": 1}}
        )
        assert [setting.seeds for setting in group_seeds([results(), other])] == [(0, 1)]

    def test_runs_of_the_two_tasks_each_fill_their_own_table_under_the_plain_name(self):
        whole = results()
        halves = [
            replace(
                results(config={"metric": {"tasks": [task]}}),
                metrics={key: metric for key, metric in whole.metrics.items() if f"/{task}/" in key},
            )
            for task in ("instance", "category")
        ]
        tables = filled(*halves)
        assert [cells(tables[f"table{n}-shapes"])[0][0] for n in (2, 3, 4)] == ["ucch"] * 3

    def test_seeds_with_different_code_are_told(self):
        table = filled(results(seed=0), results(seed=1, commit="d" * 40))["table2-shapes"]
        assert "The seeds of ucch, 64 bits ran with different code: cccccccc, dddddddd." in table.notes

    def test_a_mean_over_fewer_seeds_than_the_row_says_so(self):
        whole = results(seed=0)
        holed = replace(whole, seed=1, metrics={k: m for k, m in whole.metrics.items() if k[-3:] != "R@1"})
        row = filled(whole, holed)["table2-shapes"].rows[0]
        assert "1 seed" in row.cells[4].note


class TestPaper:
    COCO = DataInfo("coco", "test", 5000, 25010, 80, "cd" * 32)

    def test_the_difference_is_ours_minus_the_papers(self):
        table = filled(results(data=self.COCO, size="paper", value=0.082))["table2-coco"]
        assert cells(table, "paper")[0][4:7] == ["6.2", "17.9", "26.5"]
        assert cells(table, "difference")[0][4:7] == ["+2.00", "−9.70", "−18.30"]

    @pytest.mark.parametrize(
        "changed",
        [{"size": "tiny"}, {"bits": 32}, {"data": replace(COCO, split="val")}, {"data": replace(COCO, images=1000)}],
    )
    def test_another_size_code_length_split_or_subset_gets_no_number_of_the_paper(self, changed):
        tables = filled(results(**{"data": self.COCO, "size": "paper", **changed}))
        table = next(found for key, found in tables.items() if key.startswith("table2"))
        assert not cells(table, "paper")
        assert any("No row has the paper's" in note for note in table.notes)

    def test_what_the_paper_does_not_give_is_a_dash(self):
        table = filled(results("xvlm", data=self.COCO, size="paper", value=0.8))["table4-coco"]
        assert cells(table, "paper")[0][4:10] == ["95.0", "86.1", "–", "94.6", "83.4", "–"]
        assert cells(table, "difference")[0][4:10] == ["−55.00", "−46.10", "–", "−54.60", "−43.40", "–"]

    @pytest.mark.parametrize(
        ("name", "bits", "wanted"),
        [
            ("xvlm_nf", None, "xvlm(nf)"),
            ("blip2(nf)", None, "blip2(nf)"),
            ("adv(64bit)", 64, "adv(64bit)"),
            ("adv(2048bit)", 2048, "adv(2048bit)"),
            ("ucch", 2048, None),
            ("dadh", 16, None),
            ("dadh", None, "dadh"),
        ],
    )
    def test_our_names_and_those_of_the_authors_files_lead_to_the_papers(self, name, bits, wanted):
        assert paper_model(results(model=ModelInfo(name, None, None, None, bits, "float32"))) == wanted

    def test_table_1_has_all_that_the_paper_says_of_a_model(self):
        table = filled(results("scan", size="paper"), results("xvlm"))["table1"]
        assert under(table, *(f"paper {name}" for name in ("approach", "attention at query time", "embedding",
                                                           "image feature", "text feature", "format"))) == [
            ["–"] * 6, ["local+global", "cross-attention", "1024", "1024 x 36", "1024 x 70", "f64"],
        ]  # fmt: skip
        without = ModelInfo("xvlm_nf", "vlp", "paper", 256, None, "float32")
        assert "paper approach" not in [column.heading for column in filled(results(without))["table1"].columns]

    def test_both_lengths_of_adv_are_known(self):
        runs = [results("adv", bits, data=FLICKR, size="paper") for bits in (64, 2048)]
        assert [row[4] for row in cells(filled(*runs)["table2-flickr30k"], "paper")] == ["33.4", "63.7"]


class TestHonesty:
    def test_other_contents_of_a_data_set_stand_in_a_table_of_their_own_and_are_told(self):
        other = DataInfo("shapes", "test", 100, 500, 20, "99" * 32)
        report = paper_report([results(), results("dadh", data=other)])
        tables = [table for table in report.tables if table.key.startswith("table2")]
        assert [table.key for table in tables] == ["table2-shapes-abababab", "table2-shapes-99999999"]
        assert [len(cells(table)) for table in tables] == [1, 1]
        assert "must not be compared" in report.remarks[0]

    def test_other_definitions_stand_in_a_table_of_their_own(self):
        report = paper_report([results(), results("dadh", config={"metric": {"ties": "optimistic"}})])
        titles = [table.title for table in report.tables if table.key.startswith("table2")]
        assert len(titles) == 2
        assert sum("ties=optimistic" in title for title in titles) == 1

    def test_untrained_runs_count_for_times_only(self):
        grids = filled(results("dadh", config={"stage": ["test"]}), results("ucch"))
        assert [row[0] for row in cells(grids["table2-shapes"])] == ["ucch"]
        assert "Runs with untrained weights are left out: dadh." in grids["table2-shapes"].notes
        assert [row[0] for row in cells(grids["table5-shapes"])] == ["ucch", "dadh"]

    @pytest.mark.parametrize("given", ["weights", "checkpoint"])
    def test_weights_or_a_checkpoint_make_a_tested_run_a_trained_one(self, given):
        grids = filled(results(config={"stage": ["test"], "model": {given: "file"}}))
        assert "table2-shapes" in grids

    def test_a_missing_metric_is_a_dash_and_named(self):
        whole = results()
        holed = {key: metric for key, metric in whole.metrics.items() if key != "test/instance/t2i/R@5"}
        table = filled(replace(whole, metrics=holed))["table2-shapes"]
        assert cells(table)[0][8] == "–"
        assert any("ucch, 64 bits was not measured" in note and "t2i R@5" in note for note in table.notes)

    def test_models_of_the_paper_without_a_run_are_named(self):
        grids = filled(results("ucch"), results("scan"))
        assert any("No finished run here of blip2," in note for note in grids["table2-shapes"].notes)
        assert "No finished run here of adv, dadh." in grids["table3-shapes"].notes

    def test_chance_stands_below_and_a_definition_beside_every_metric(self):
        table = filled(results())["table4-shapes"]
        assert cells(table, "chance") == [["chance", "", "", "", *["5.00"] * 6]]
        assert "mAP@N: mAP@N is; ties: expected." in table.notes

    def test_only_codes_are_in_table_3(self):
        assert [row[0] for row in cells(filled(results("ucch"), results("scan"))["table3-shapes"])] == ["ucch"]


class TestCosts:
    def test_time_and_storage_grow_with_the_items_from_what_was_measured(self):
        table = filled(results())["table5-shapes"]
        assert under(table, "items per second", *ENCODING) == [
            ["1,000", "~6.00 s", "~60.00 s", "~10.0 min", "~100.0 min"]
        ]
        assert cell(table, 0, STORED).numbers[""] == 6e6 * 8
        assert cell(table, 0, STORED).note == "366.2 MiB"  # a byte for each bit

    def rows(self, **more):
        return [
            {"images": n, "captions": 5 * n, "seconds": n / 500, "repeats": 3, "fastest_seconds": n / 600,
             "slowest_seconds": n / 400, "loading_seconds": n / 1000, "collecting_seconds": n / 2000,
             "wall_seconds": n / 250, "peak_memory_bytes": n * 2**20, **more}
            for n in (1_000, 10_000)
        ]  # fmt: skip

    def test_measured_sizes_come_with_their_repeats_and_the_others_at_the_rate_of_the_largest(self):
        measured = {"encode_seconds": 0.2, "embedding_bytes": 600 * 8, "encoding": self.rows()}
        table = filled(results(efficiency=measured))["table5-shapes"]
        assert under(table, *ENCODING, "encoding error, %") == [["2.00 s", "20.00 s", "~200.00 s", "~33.3 min", "+0.0"]]
        assert cell(table, 0, ENCODING[0]).note == "1.67 s to 2.50 s"
        assert any("at the rate of the largest measured size" in note for note in table.notes)

    def test_the_parts_of_each_measured_size_stand_in_a_table_of_their_own(self):
        measured = {"encode_seconds": 0.2, "embedding_bytes": 600 * 8, "encoding": self.rows()}
        table = filled(results(efficiency=measured))["table5-parts-shapes"]
        names = ("images", "captions", "repeats", "items per second", "encoding network", "encoding data loading")
        assert under(table, *names) == [
            ["1,000", "5,000", "3", "3,000", "2.00 s", "1.00 s"],
            ["10,000", "50,000", "3", "3,000", "20.00 s", "10.00 s"],
        ]
        assert under(table, "encoding collecting", "encoding in all", "peak memory") == [
            ["500 ms", "4.00 s", "1,000.0 MiB"], ["5.00 s", "40.00 s", "9.8 GiB"],
        ]  # fmt: skip
        assert cell(table, 1, "encoding network").note == "16.67 s to 25.00 s"
        assert "table5-parts-shapes" not in filled(results())

    def test_energy_has_a_column_where_any_size_has_it(self):
        measured = {"encode_seconds": 0.2, "embedding_bytes": 600 * 8, "encoding": self.rows(energy_joules=None)}
        without = filled(results(efficiency=measured))
        assert not any("J" in c.heading.split() for t in without.values() for c in t.columns)
        measured["encoding"][0]["energy_joules"] = 120.0
        tables = filled(results(efficiency=measured))
        assert under(tables["table5-parts-shapes"], "energy, J") == [["120"], ["–"]]
        assert under(tables["table5-shapes"], "J an item") == [["0.02"]]

    def test_work_and_memory_of_an_item_stand_in_table_5_and_the_paper_has_none(self):
        costs = {"encode_seconds": 1.0, "embedding_bytes": 8, "flops_per_item": 1.234e9, "peak_memory_bytes": 2**30}
        table = filled(results(data=FLICKR, size="paper", efficiency=costs))["table5-flickr30k"]
        assert under(table, "FLOPs an item", "peak memory") == [["1.23 G", "1.0 GiB"]]
        assert under(table, "FLOPs an item", "peak memory", kind="paper") == [["–", "–"]]
        assert all(len(row.cells) == len(table.columns) for row in table.rows)
        gpu = filled(results(efficiency=costs | {"peak_process_memory_bytes": 2**31}))["table5-shapes"]
        assert (cell(gpu, 0, "peak memory").text, cell(gpu, 0, "peak memory").note) == ("1.0 GiB", "2.0 GiB")

    @pytest.mark.parametrize(
        ("other", "kept"),
        [({}, 1), ({"hardware": {"cpu": "another"}}, 2), ({"config": {"model": {"precision": "bf16"}}}, 2)],
    )
    def test_seeds_share_a_row_of_table_5_only_on_one_machine_and_in_one_precision(self, other, kept):
        table = filled(results(), results(seed=1, **other))["table5-shapes"]
        assert len(cells(table)) == kept
        assert len(set(map(str, under(table, "machine")))) == kept

    def test_what_did_not_finish_there_follows_from_the_papers_own_cells(self):
        table = filled(results("xvlm", data=FLICKR, size="paper"))["table5-flickr30k"]
        assert under(table, *ENCODING, "encoding error, %", kind="paper") == [
            ["12.42 s", "100.87 s", "~16.8 min", "~168.1 min", "+23.1"]
        ]
        assert under(table, "embeddings 1K / 5K", STORED, ATTENDED, kind="paper") == [["–", "5.72 GiB", "1126.82 GiB"]]
        assert any("one A100 80 GiB, Xeon Platinum 8480+; ~ did not finish there" in note for note in table.notes)

    def test_the_papers_attention_stands_below_ours_of_the_same_size(self):
        table = filled(results("scan", data=FLICKR, size="paper", efficiency={"attention_seconds": 9.0}))["table6"]
        assert under(table, "attention", "µs per pair", "ms per query", "exponent", kind="paper") == [
            ["17.51 s", "3.50", "2.92", "1.87"]
        ]

    def test_the_papers_attention_that_did_not_finish_follows_from_what_did(self):
        data = replace(FLICKR, images=100_000, captions=500_000)
        table = filled(results("scan", data=data, size="paper", efficiency={"attention_seconds": 9.0}))["table6"]
        assert under(table, "attention", "µs per pair", kind="paper") == [["~2,142.2 min", "2.57"]]

    def test_storage_at_the_largest_size_is_that_of_the_paper(self):
        table = filled(results(data=FLICKR, size="paper", efficiency={
            "encode_seconds": 0.4, "embedding_bytes": 6000 * 8, "unpacked_embedding_bytes": 6000 * 64,
        }))["table5-flickr30k"]  # fmt: skip
        assert pytest.approx(cell(table, 1, STORED).numbers[""] / 2**30, abs=0.005) == 6e6 * 64 / 2**30
        assert cell(table, 0, STORED).note == "366.2 MiB"
        assert under(table, *ENCODING, kind="paper") == [["400 ms", "4.12 s", "60.57 s", "488.28 s"]]

    def test_vectors_that_pairs_are_scored_from_stand_for_attention_as_in_the_paper(self):
        """36 regions and 77 words of 1,024 numbers: half the paper's 3,212 GiB, which are of float64."""
        ids, vectors = torch.arange(0), {"device": "meta"}
        encoded = EncodedBatch(torch.empty(1000, 36, 1024, **vectors), ids, torch.empty(5000, 77, 1024, **vectors), ids)
        inputs = SimpleNamespace(bytes_per_image=1, bytes_per_text=1)
        split = SimpleNamespace(image_ids=range(1000), caption_ids=range(5000))
        data = SimpleNamespace(splits={"test": split}, test_split="test", inputs=inputs)
        measured = efficiency(EpochOutputs(encoded, encode_seconds=1.0, attention_seconds=1.0), data, None)
        table = filled(results("scan", data=FLICKR, size="paper", efficiency=measured))["table5-flickr30k"]
        assert under(table, "embeddings 1K / 5K", STORED) == [["–", "–"]]
        ours, theirs = (cell(table, row, ATTENDED).numbers[""] for row in (0, 1))
        assert theirs == pytest.approx(2 * ours, rel=1e-4)
        assert cell(table, 1, STORED).text == "45.75 GiB"
        assert any("45.75 GiB" in note for note in table.notes)

    def test_a_reranker_has_its_states_for_attention_beside_its_embeddings(self):
        costs = {"encode_seconds": 1.0, "embedding_bytes": 600 * 8, "feature_bytes": 600 * 100}
        table = filled(results("xvlm", config={"model": {"rerank": {"k": 8}}}, efficiency=costs))["table5-shapes"]
        assert cell(table, 0, STORED).numbers[""] == 6e6 * 8
        assert cell(table, 0, ATTENDED).numbers[""] == 6e8
        cascade = replace(results("scan", efficiency=costs | {"screen_seconds": 1.0}))
        assert cell(filled(cascade)["table5-shapes"], 0, STORED).numbers[""] == 6e6 * 8

    def test_attention_that_costs_the_square_has_exponent_2(self):
        sizes = [DataInfo("shapes", "test", n, 5 * n, 20, str(n) * 8) for n in (100, 200, 400)]
        runs = [results("scan", data=d, efficiency={"attention_seconds": 1e-4 * d.images**2}) for d in sizes]
        table = filled(*runs, results("ucch"))["table6"]
        assert under(table, "exponent", "µs per pair") == [["2.00", "20.00"], ["", "20.00"], ["", "20.00"]]
        assert "No attention at query time: ucch." in table.notes

    def test_one_size_has_no_exponent(self):
        assert under(filled(results("scan"))["table6"], "exponent") == [["–"]]

    @pytest.mark.parametrize(
        "other",
        [
            {"data": DataInfo("coco", "test", 400, 2000, 80, "ef" * 32)},
            {"data": DataInfo("shapes", "test", 400, 2000, 20, "ef" * 32), "hardware": {"cpu": "another CPU"}},
            {"data": DataInfo("shapes", "test", 400, 2000, 20, "ef" * 32), "config": {"model": {"precision": "bf16"}}},
        ],
        ids=["data", "machine", "precision"],
    )
    def test_other_data_machines_or_precisions_are_no_second_size(self, other):
        table = filled(results("scan"), results("scan", seed=1, **other))["table6"]
        assert under(table, "exponent") == [["–"], ["–"]]

    def test_attention_of_one_size_on_two_machines_is_two_rows(self):
        runs = [
            results("scan"),
            results("scan", seed=1, hardware={"cpu": "another"}, efficiency={"attention_seconds": 9.0}),
        ]
        table = filled(*runs)["table6"]
        assert sorted(under(table, "attention")) == [["2.00 s"], ["9.00 s"]]
        assert under(table, "machine") == [["1"], ["2"]]

    def test_the_indexes_of_an_older_run_of_the_same_setting_stay(self):
        row = SearchRow("flat", 100, 500, 0.1, 0.2, 1000, {1: 1.0}, {1: 1.0}, {"direction": "i2t"})
        old, new = results(search=(row,)), results(search=(replace(row, index="hnsw"),))
        table = {g.key: g for g in paper_report([new], [old]).tables}["table7-shapes"]
        assert sorted(cells[1] for cells in cells(table)) == ["flat", "hnsw"]


class TestFinding:
    def write(self, folder, **changed):
        write_results(folder, results(**changed))
        (folder / "run.log").touch()

    def test_runs_are_found_below_and_an_unfinished_one_is_named(self, tmp_path):
        self.write(tmp_path / "multirun" / "0")
        self.write(tmp_path / "multirun" / "1", seed=1)
        (tmp_path / "multirun" / "2").mkdir()
        (tmp_path / "multirun" / "2" / "run.log").touch()
        (tmp_path / "multirun" / "3").mkdir()
        (tmp_path / "multirun" / "3" / "results.json").write_text("{")
        found = find_runs([tmp_path])
        assert [run.folder.name for run in found.runs] == ["0", "1"]
        assert {folder.name: reason.split(";")[0][:30] for folder, reason in found.left_out}.keys() == {"2", "3"}
        assert "did not finish" in dict((f.name, r) for f, r in found.left_out)["2"]

    def test_the_same_folder_twice_is_one_run(self, tmp_path):
        self.write(tmp_path / "a")
        assert len(find_runs([tmp_path, tmp_path / "a"]).runs) == 1

    def test_of_runs_of_the_same_seed_the_newest_is_taken_and_the_other_named(self, tmp_path):
        self.write(tmp_path / "a", value=0.9, started="2026-05-01T00:00:00+00:00")
        self.write(tmp_path / "b", value=0.1, started="2026-01-01T00:00:00+00:00")
        found = find_runs([tmp_path])
        assert [run.folder.name for run in found.runs] == ["a"]
        ((folder, reason),) = found.left_out
        newer = tmp_path.resolve() / "a"
        assert (folder.name, reason) == ("b", f"{newer} has the same setting and seed and is newer")

    @pytest.mark.parametrize("name", ["nowhere", "empty"])
    def test_nothing_to_report_is_refused(self, tmp_path, name):
        (tmp_path / "empty").mkdir()
        with pytest.raises(UsageError, match=name):
            find_runs([tmp_path / name])


def test_a_small_table_is_the_golden_one():
    flickr = DataInfo("flickr30k", "test", 1000, 5000, 80, "ef" * 32)
    runs = [
        *(results(seed=seed, value=0.12 + seed / 100, data=flickr, size="paper") for seed in (0, 1)),
        results("scan", data=flickr, size="paper", value=0.6),
    ]
    golden = Path(__file__).resolve().parents[3] / "golden" / "table2.md"
    assert as_markdown(filled(*runs)["table2-flickr30k"]) == golden.read_text()


class TestCommand:
    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory):
        """Two runs, an unfinished one, and the report of them all where it goes by itself."""
        folder = tmp_path_factory.mktemp("runs")
        search = tuple(
            SearchRow(index, 100, 500, 0.1, 0.2, 1000, {1: 0.5, 10: 1.0}, {1: 0.5, 10: 0.9}, {"direction": "i2t"})
            for index in ("flat", "hnsw")
        )
        write_results(folder / "0", results(name="<script>alert(1)</script>", search=search))
        write_results(folder / "1", results("scan"))
        (folder / "2").mkdir()
        (folder / "2" / "run.log").touch()
        done = CliRunner().invoke(app, ["report", str(folder)])
        assert done.exit_code == 0, done.output
        return folder

    def test_every_table_is_written_in_every_format(self, folder):
        names = {path.name for path in (folder / "report").iterdir()}
        tables = {
            "table1",
            "table2-shapes",
            "table3-shapes",
            "table4-shapes",
            "table5-shapes",
            "table6",
            "table7-shapes",
        }
        figures = {f"{name}-shapes.{ending}" for name in ("figure3", "figure4") for ending in ("svg", "pdf")}
        written = {f"{table}.{ending}" for table in tables for ending in ("csv", "tex")}
        assert names == written | figures | {"report.md", "report.tex", "report.html"}
        for key in tables:
            assert rf"\label{{tab:{key}}}" in (folder / "report" / "report.tex").read_text()
            assert f'id="{key}"' in (folder / "report" / "report.html").read_text()

    def test_the_page_is_escaped_and_names_what_was_left_out(self, folder):
        page = (folder / "report" / "report.html").read_text()
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        assert "it did not finish" in page
        assert not re.search(r"(src|href)=.https?:", page)  # xlink:href="#..." alone
        assert len(find_runs([folder]).runs) == 2, "a report in the folder is no run"

    def test_a_report_of_benches_alone_has_table_7_alone(self, tmp_path):
        row = SearchRow("flat", 100_000, 500_000, 1.0, 2.0, 1000, {1: 1.0, 100: 1.0}, {1: 1.0}, {})
        row = replace(row, index="binary_flat")
        bench = replace(
            results(),
            name="table7",
            model=ModelInfo("none", None, None, 2048, None, "float32"),
            data=DataInfo("synthetic", "bench", 500_000, 100_000, 0, "seed 1338"),
            metrics={},
            efficiency={},
            search=(row,),
            config={"model": None, "metric": None, "dataset": None, "stage": []},
        )
        (table,) = paper_report([bench]).tables
        assert table.title == "Table 7: indexes, 100,000 synthetic queries in 500,000 items, seed 1338"
        assert table.rows[0].cells[0].text == "vectors"
        assert [row.kind for row in table.rows] == ["run", "paper"]
        assert [cell.text for cell in table.rows[1].cells[8:10]] == ["10.7", "60.6"]


def test_the_curves_of_a_model_are_the_mean_over_its_seeds():
    figure = precision_recall_figure([results(seed=0, value=0.4), results(seed=1, value=0.6), results("scan")])
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert set(lines) == {"ucch, 64 bits", "scan", "chance"}
    np.testing.assert_allclose(lines["ucch, 64 bits"].get_ydata(), 25)
    assert len(lines["ucch, 64 bits"].get_xdata()) == 11


def test_of_many_settings_a_figure_shows_the_longest_code_of_each_model():
    codes = [results(model, bits=bits) for model in ("ucch", "dadh", "adv") for bits in (16, 128, 32, 64)]
    few, many = precision_recall_figure(codes), precision_recall_figure([*codes, results("scan")])
    assert len(few.axes[0].get_lines()) == len(codes) + 1
    labels = {line.get_label() for line in many.axes[0].get_lines()}
    assert labels == {"ucch, 128 bits", "dadh, 128 bits", "adv, 128 bits", "scan", "chance"}


def test_queries_come_back_with_recalls_and_images(tmp_path):
    table = QueryTable(
        "t2i", ("a", "b"), np.array([1.5, np.nan]), {"10": np.array([0.5, 1 / 3]), "N": np.array([1.0, 0.0])},
        ("x", "y"), {"1": np.array([0.5, 0.0]), "10": np.array([1.0, 1.0])},
    )  # fmt: skip
    write_results(tmp_path, results(), (table,))
    found = read_queries(tmp_path / "per_query.csv.gz")["t2i"]
    assert (found.ids, found.images) == (table.ids, table.images)
    assert list(found.columns) == ["first_rank", "AP@10", "AP@N", "R@1", "R@10"]
    for name, values in table.columns.items():
        np.testing.assert_allclose(found.columns[name], values, rtol=1e-8)


def test_results_of_the_writer_are_json_that_the_report_reads(tmp_path):
    write_results(tmp_path / "run", results())
    assert json.loads((tmp_path / "run" / "results.json").read_text())["status"] == "finished"
    assert find_runs([tmp_path]).runs[0].results == results()
