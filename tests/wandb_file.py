"""Reads the offline file of a run of W&B, whose own reader is no Python any more."""

import json
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 30  # that its own process may need to write the end


@dataclass
class OfflineRun:
    """What an offline file says: the run's record, history and summary by key, definitions, artifacts."""

    run: Any = None
    history: dict = field(default_factory=dict)
    summary: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)
    artifacts: list = field(default_factory=list)

    @property
    def keys(self):
        """Keys of history and summary, a table or image as one, without W&B's own."""
        return {key for key in (*self.history, *self.summary) if not key.startswith("_")}

    @property
    def config(self):
        """By key."""
        return {item.key: json.loads(item.value_json) for item in self.run.config.update}

    def table(self, key):
        """Rows of a table as mappings."""
        contents = (item for artifact in self.artifacts for item in artifact.manifest.contents)
        path = next(item.local_path for item in contents if item.path == f"{key}.table.json")
        plain = json.loads(Path(path).read_text())
        return [dict(zip(plain["columns"], row, strict=True)) for row in plain["data"]]


def read_offline_run(folder):
    """The offline run in a run's folder, once it is whole."""
    from wandb.proto import wandb_internal_pb2

    file, records = next((Path(folder) / "wandb").glob("offline-run-*/*.wandb")), []
    deadline = time.monotonic() + SECONDS
    while "exit" not in [record.WhichOneof("record_type") for record in records]:
        assert time.monotonic() < deadline, f"{file} has no end"
        records = [wandb_internal_pb2.Record.FromString(payload) for payload in _payloads(file.read_bytes())]
        time.sleep(0 if records else 0.1)
    found = OfflineRun()
    for record in records:
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
        elif kind == "metric":
            found.metrics[record.metric.name or record.metric.glob_name] = record.metric
        elif kind == "artifact":
            found.artifacts.append(record.artifact)
        for item in record.history.item:
            _keep(found.history, item, is_series=True)
        for item in record.summary.update:
            _keep(found.summary, item, is_series=False)
    return found


def _keep(values, item, is_series):
    """Tables and images have a nested key for each of their parts."""
    name, *parts = item.nested_key or [item.key]
    value = json.loads(item.value_json)
    if parts:
        values.setdefault(name, {})[parts[0]] = value
    elif is_series:
        values.setdefault(name, []).append(value)
    else:
        values[name] = value


def _payloads(data):
    """Records of a LevelDB log: blocks of 32 KiB, chunks of checksum, length, kind (full, first, middle, last)."""
    at, payload = 7, b""  # behind the file's own header
    while at + 7 <= len(data):
        left = 32_768 - at % 32_768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        payload += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield payload
            payload = b""
