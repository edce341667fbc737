import pytest
from typer.testing import CliRunner

from fico.cli import doctor
from fico.cli.app import app


def findings(monkeypatch, root, installed):
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda package: installed.get(package, real(package)))
    return {finding.subject: finding for finding in doctor.examine(root)}


@pytest.mark.parametrize(
    ("installed", "subject"),
    [
        ({"faiss-cpu": "1.15.1", "faiss-gpu": "1.15.1"}, "faiss"),
        ({"lightning": "2.6", "pytorch-lightning": "2.6"}, "lightning"),
        ({"torch": "2.13.0+cpu", "torchvision": "0.29.0+cu130"}, "torchvision"),
    ],
)
def test_packages_that_clash_are_errors_and_alone_are_none(monkeypatch, tmp_path, installed, subject):
    assert findings(monkeypatch, tmp_path, installed)[subject].level == "error"
    for package in installed:
        monkeypatch.undo()
        alone = findings(monkeypatch, tmp_path, {other: None for other in installed} | {package: installed[package]})
        assert subject not in alone


def test_a_cache_that_cannot_be_written_is_an_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FICO_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert findings(monkeypatch, tmp_path, {})["cache"].level == "error"
    monkeypatch.setenv("FICO_CACHE_DIR", str(tmp_path / "cache"))
    assert findings(monkeypatch, tmp_path, {})["cache"].level == "ok"


def test_an_extra_lacks_what_the_extras_that_it_includes_lack(monkeypatch, tmp_path):
    lines = ["numpy>=2", "gensim>=4 ; extra == 'text'", 'ray>=2; extra == "ray"', 'fico[text,ray] ; extra == "all"']
    monkeypatch.setattr(doctor, "requires", lambda _: lines)
    found = findings(monkeypatch, tmp_path, {"numpy": "2", "gensim": None, "ray": "2"})
    assert found["extra ray"].text == "complete"
    assert found["extra text"].text.startswith("without gensim;")
    assert found["extra all"].text.startswith("without fico[text];")


def test_models_are_read_from_their_configs(monkeypatch, tmp_path):
    folder = tmp_path / "conf" / "model"
    folder.mkdir(parents=True)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "good.py").write_text("raise RuntimeError('is not run')")
    (folder / "good.yaml").write_text("module: {_target_: models.good.Good, part: [{_target_: json.JSONDecoder}]}")
    (folder / "gone.yaml").write_text("module: {_target_: nowhere.to.Be}\nweights: files/w.safetensors")
    (folder / "broken.yaml").write_text("a: [")
    found = findings(monkeypatch, tmp_path, {})
    assert found["model good"].level == "ok"
    assert found["model gone"].level == "error"
    assert "nowhere.to.Be" in found["model gone"].text
    assert "files/w.safetensors" in found["model gone"].text
    assert found["model broken"].level == "error"
    assert "broken.yaml" in found["model broken"].text


def test_the_command_prints_one_line_each_and_exits_1_on_an_error(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "examine", lambda *_: [doctor.Finding("ok", "a", "fine")])
    done = CliRunner().invoke(app, ["doctor"])
    assert (done.exit_code, done.stdout) == (0, "ok     a  fine\n")
    monkeypatch.setattr(doctor, "examine", lambda *_: [doctor.Finding("error", "a", "broken")])
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "1 of 1" in done.stderr


def test_a_data_set_that_is_not_there_is_an_error_outside_a_checkout_too(tmp_path):
    found = doctor.examine(tmp_path, doctor.DatasetOption("flickr30k", tmp_path / "nowhere"))
    assert [(finding.level, finding.subject) for finding in found if finding.level == "error"] == [
        ("error", "data set")
    ]


def test_files_that_reproduce_lacks_are_named_row_by_row(tmp_path):
    weights, features = tmp_path / "weights", tmp_path / "data" / "flickr30k" / "features"
    for folder in (weights, features):
        folder.mkdir(parents=True)
    for file in (weights / "ucch.t7", features / "vgg19.npy", features / "doc2vec.npy"):
        file.touch()
    found = {
        finding.subject: finding for finding in doctor.examine(tmp_path, of_the_paper=(weights, tmp_path / "data"))
    }
    assert found["ucch on flickr30k"].level == "ok"
    assert found["ucch on coco"].level == "note"
    assert found["ucch on coco"].text.endswith("data/coco/")
    assert "weights/scan-flickr30k-vocab.json" in found["scan on flickr30k"].text


@pytest.mark.parametrize(
    ("options", "text"),
    [(["--weights", "."], "give both"), (["--weights", ".", "--data", "nowhere"], "nowhere is not a folder")],
)
def test_folders_of_reproduce_come_in_pairs_and_exist(tmp_path, monkeypatch, options, text):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["doctor", *options])
    assert done.exit_code == 2
    assert text in " ".join(done.stderr.split())
