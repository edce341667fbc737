"""What a run prints."""

import io
import re
from dataclasses import replace

import pytest

from fico.report.results.display import metric_text
from fico.report.results.metric import Metric
from fico.report.run_summary.summary import print_results
from fico.util.units import bytes_text, count_text, seconds_text


class TestTables:
    def text(self, results):
        file = io.StringIO()
        print_results(results, file)
        return file.getvalue()

    def test_values_stand_in_percent_with_interval_and_chance(self, results):
        line = next(line for line in self.text(results).splitlines() if line.strip().startswith("R@1 "))
        assert re.findall(r"[\d.,]+–[\d.,]+|[\d.,]+", line)[1:] == ["12.34", "7.3–17.3", "0.40"] * 2

    def test_without_an_interval_a_dash_stands_there(self, results):
        bare = {name: replace(m, low=None, high=None) for name, m in results.metrics.items()}
        line = next(
            line for line in self.text(replace(results, metrics=bare)).splitlines() if line.strip().startswith("R@1 ")
        )
        assert line.split() == ["R@1", *["12.34", "–", "0.40"] * 2]

    def test_ranks_are_no_percents(self, results):
        assert re.search(r"MedR +12\.5 +9\.5–15\.5 +250 ", self.text(results))

    @pytest.mark.parametrize("ties", [False, True])
    @pytest.mark.parametrize("columns", [80, 100])
    def test_everything_fits_a_terminal_and_nothing_is_cut(self, results, monkeypatch, columns, ties):
        bounds = {"pessimistic": 0.1, "optimistic": 0.9999} if ties else {}
        wide = {name: m if "MedR" in name else replace(m, **bounds) for name, m in results.metrics.items()}
        for name in ("i2t", "t2i"):
            wide[f"test/instance/{name}/MedR"] = Metric(
                12345.5, 11111.5, 23456.5, 500, "", *([9e4, 1.1e4] if ties else []), unit="rank"
            )
            wide[f"test/category/{name}/mAP@10"] = Metric(1.0, 1.0, 1.0, 500, "", **bounds)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", "50")
        monkeypatch.setenv("TERM", "dumb")
        terminal = io.StringIO()
        terminal.isatty = lambda: True
        print_results(replace(results, metrics=wide), terminal)
        assert max(map(len, terminal.getvalue().splitlines())) <= columns
        assert "…" not in terminal.getvalue()
        for cell in ("12,346", "11112–23456", *(["11000–90000", "10.0–100.0"] if ties else [])):
            assert terminal.getvalue().count(cell) >= 2

    def test_an_index_is_named_with_its_direction(self, results):
        assert re.search(r"hnsw t2i +500 in 2,500 +200 ms +1 ms", self.text(results))

    def test_a_pipe_gets_no_colour_codes(self, results):
        assert "\x1b" not in self.text(results)

    def test_a_task_that_was_not_run_is_left_out(self, results):
        only = {name: m for name, m in results.metrics.items() if "instance" in name}
        text = self.text(replace(results, metrics=only, search=()))
        assert "R@1" in text
        assert "mAP" not in text
        assert "top 1" not in text

    def test_sizes_of_attention_are_lines_and_no_list(self, results):
        rows = [{"images": 1000, "rule": rule, "seconds": 2.0, "k": 1, "pairs": 2} for rule in ("all", "scaled")]
        text = self.text(replace(results, efficiency={"attention": rows}))
        assert "Attention, all pairs, 1,000 images 2.00 s; Attention, k scaled, 1,000 images 2.00 s" in text
        assert "{" not in text

    def test_units_are_chosen_to_be_read(self):
        assert [bytes_text(size) for size in (0, 1023, 1024, 3 * 2**30)] == ["0 B", "1,023 B", "1.0 KiB", "3.0 GiB"]
        assert [seconds_text(s) for s in (0, 2e-6, 0.0123, 5, 1200)] == ["0 s", "2 µs", "12.3 ms", "5.00 s", "20.0 min"]
        days = [seconds_text(60 * minutes) for minutes in (1_356, 2_880, 2_881, 135_591)]
        assert days == ["1,356.0 min", "2,880.0 min", "2.0 days", "94.2 days"]
        assert [count_text(n) for n in (0, 999.4, 999.7, 1234, 2e9)] == ["0", "999", "1 k", "1.23 k", "2 G"]
        assert [metric_text("fraction", 0.5), metric_text("rank", 3.0), metric_text("rank", 1234.56)] == [
            "50.00",
            "3",
            "1,235",
        ]

    def test_tie_bounds_are_printed_low_to_high(self, results):
        name = "test/instance/i2t/MedR"
        tied = replace(results.metrics[name], pessimistic=14.0, optimistic=11.0)
        text = self.text(replace(results, metrics=results.metrics | {name: tied}))
        assert re.search(r"MedR .* 11–14 ", text)

    def test_no_attention_at_query_time_is_not_a_time_of_0_seconds(self, results):
        text = self.text(replace(results, efficiency={"encode_seconds": 1.5, "attention_seconds": 0.0}))
        assert "Encode 1.50 s" in text
        assert "Attention" not in text
