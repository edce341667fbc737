"""The energy meter over folders and drivers that are made up."""

import sys
from types import SimpleNamespace

import pytest
import torch

from fico.util.compute import energy
from fico.util.compute.energy import EnergyMeter


@pytest.fixture
def powercap(tmp_path, monkeypatch):
    """Writes the counters of zones, in microjoules."""
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)

    def write(zone, name, value, limit=1_000_000_000):
        (tmp_path / zone).mkdir(exist_ok=True)
        for file, text in (("name", name), ("energy_uj", value), ("max_energy_range_uj", limit)):
            (tmp_path / zone / file).write_text(f"{text}\n")

    return write


def test_the_packages_are_added_up_each_once(powercap):
    def all_at(value):
        powercap("intel-rapl:0", "package-0", value)
        powercap("intel-rapl:1", "package-1", 2 * value)
        powercap("intel-rapl:0:0", "core", 5 * value)  # a part of the first package
        powercap("intel-rapl:2", "psys", 7 * value)  # the whole machine
        powercap("intel-rapl-mmio:0", "package-0", value)  # the first again

    all_at(10_000_000)
    meter = EnergyMeter()
    assert meter.read() == 0
    all_at(12_000_000)
    assert meter.read() == pytest.approx(2 + 4)
    all_at(12_500_000)
    assert meter.read() == pytest.approx(2.5 + 5)


def test_a_counter_that_began_again_goes_on(powercap):
    powercap("intel-rapl:0", "package-0", 9_000_000, limit=10_000_000)
    meter = EnergyMeter()
    powercap("intel-rapl:0", "package-0", 500_000, limit=10_000_000)
    assert meter.read() == pytest.approx(1.5)


@pytest.mark.parametrize("damage", ["missing", "unreadable", "text"])
def test_what_cannot_be_read_is_none(powercap, tmp_path, damage):
    assert EnergyMeter().read() is None  # no counter at all
    powercap("intel-rapl:0", "package-0", 1)
    meter, file = EnergyMeter(), tmp_path / "intel-rapl:0" / "energy_uj"
    assert meter.read() == 0
    file.unlink()
    if damage == "unreadable":
        file.mkdir()
    elif damage == "text":
        file.write_text("soon")
    assert meter.read() is None
    assert EnergyMeter().read() is None
    file.rmdir() if damage == "unreadable" else file.unlink(missing_ok=True)
    powercap("intel-rapl:0", "package-0", 2)
    assert meter.read() is None  # a part is missing


def fake_nvml(monkeypatch):
    class NVMLError(Exception):
        pass

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", {1: SimpleNamespace(uuid="12-34")}.__getitem__)
    nvml = SimpleNamespace(NVMLError=NVMLError, nvmlInit=lambda: None, millijoules=1_000)
    nvml.nvmlDeviceGetHandleByUUID = {"GPU-12-34": "handle"}.__getitem__
    nvml.nvmlDeviceGetTotalEnergyConsumption = lambda handle: {"handle": nvml.millijoules}[handle]
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return nvml


def raising(error):
    def call(*_):
        raise error

    return call


def test_a_gpu_in_use_is_read_instead_of_the_processor(powercap, monkeypatch):
    powercap("intel-rapl:0", "package-0", 1)
    nvml = fake_nvml(monkeypatch)
    meter = EnergyMeter()
    nvml.millijoules = 3_500
    assert meter.read() == pytest.approx(2.5)
    nvml.nvmlDeviceGetTotalEnergyConsumption = raising(nvml.NVMLError("not supported"))
    assert meter.read() is None


def test_a_gpu_without_nvml_or_that_it_does_not_know_has_no_energy(powercap, monkeypatch):
    nvml = fake_nvml(monkeypatch)
    nvml.nvmlDeviceGetHandleByUUID = raising(nvml.NVMLError("not found"))
    assert EnergyMeter().read() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert EnergyMeter().read() is None
