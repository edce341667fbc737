"""The saved view: made of keys that runs log, and sent to a stub of the service."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fico.errors import UsageError
from fico.experiment.loggers import wandb_view
from fico.experiment.loggers.wandb_view import NAME, comparison, save

VIEWER = {"id": "x", "username": "me", "entity": "me", "flags": "{}", "teams": {"edges": []}}
SAVED = {"upsertView": {"view": {"id": "1", "name": "nw-abc-v"}, "inserted": True}}


@pytest.fixture
def service(monkeypatch):
    """Address of a stub that takes views, and what it was asked."""
    asked = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps({"data": {"viewer": VIEWER, "serverInfo": {}} | SAVED}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setattr(wandb_view, "service_problem", lambda: None)
    yield asked
    server.shutdown()


def test_the_view_folds_seeds_and_shows_quality_cost_search_curves_and_samples():
    view = comparison("me", "mine")
    assert [group.name for group in view.runset_settings.groupby] == ["setting"]
    assert [section.name for section in view.sections] == [
        "Quality", "Quality against cost", "Cost", "Curves", "Search", "Samples", "Training",
    ]  # fmt: skip
    spec = view._to_model().spec.model_dump_json(by_alias=True, exclude_none=True)
    for key in (
        "test/instance/t2i/R@10", "test/category/i2t/mAP@N", "efficiency/attention_seconds", "search/rows",
        "curves/precision_recall_table", "search/overlap_table", "samples/t2i", "train/loss",
    ):  # fmt: skip
        assert key in spec, key


def test_the_view_is_saved_by_one_request(service):
    address = save(comparison("me", "mine"))
    (request,) = [each for each in service if "upsertView" in each["query"]]
    sent = request["variables"]
    assert (sent["entityName"], sent["projectName"], sent["displayName"]) == ("me", "mine", NAME)
    assert "test/instance/i2t/R@10" in sent["spec"]
    assert "/me/mine?nw=abc" in address


def test_without_a_service_the_reason_is_told(monkeypatch):
    monkeypatch.setattr(wandb_view, "service_problem", lambda: "there is no key; set WANDB_API_KEY")
    with pytest.raises(UsageError, match="cannot be saved: there is no key; set WANDB_API_KEY"):
        save(comparison("me", "mine"))
