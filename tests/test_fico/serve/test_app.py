"""The page of ``fico serve`` by the library's test client: what each column answers, and what is refused."""

import io
import json
import re
import shutil

import pytest
from PIL import Image
from starlette.testclient import TestClient

from fico.errors import UsageError
from fico.serve import app as application
from fico.serve.app import make_app
from fico.serve.collection import Collection
from fico.serve.service import SearchService

COLUMNS = {"vsrn": 0, "ucch": 1, "scan": 2, "xvlm": 3, "xvlm re-ranked": 4}


def client_of(service):
    return TestClient(make_app(service), base_url="http://127.0.0.1:8765")


@pytest.fixture(scope="module")
def client(service):
    return client_of(service)


@pytest.fixture
def pictures(tmp_path, tested):
    folder = tmp_path / "my pictures"
    folder.mkdir()
    for path in tested.image_paths[:4]:
        shutil.copy(path, folder)
    return folder


def search(client, column, query, candidates=8):
    is_image = isinstance(query, bytes)
    return client.post(
        f"/search/{column}?candidates={candidates}",
        content=query if is_image else json.dumps(query),
        headers={"Content-Type": "image/png" if is_image else "application/json"},
    )


def test_each_run_has_a_column_for_each_way_to_search_it(client):
    page = client.get("/").text
    assert re.findall(r'data-stage="(.*?)"', page) == ["exact", "popcount", "all pairs", "exact", "re-ranked"]
    assert 'type="range" min="1" max="20"' in page  # a gallery of 20 images
    assert "20 images, 100 captions of shapes test" in page


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_a_sentence_finds_what_the_run_finds(column, client, loaded):
    answer = search(client, column, {"text": "a red circle beside a zebra"}).json()
    run = loaded[min(column, 3)]
    found = run.search(texts=["a red circle"], k=3, candidates=8 if column == 4 else 0)
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3]
    assert "zebra" in answer["unknown"]
    assert list(answer["times"]) == ["encoding", "search"] + ["re-ranking"] * (column == 4)
    exact = search(client, column, {"text": "a red circle"}).json()
    assert [hit["id"] for hit in exact["hits"]] == [hit.id for hit in found.hits[0]]
    assert (exact["rank"], exact["matching"]) == (None, [])


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("kind", ["caption", "image"])
def test_the_rank_of_the_matching_item_of_a_stored_query_is_that_of_its_whole_ranking(
    column, kind, client, loaded, tested
):
    row, rank = 3, re.compile(r"rank (\d+)(?:\u2013(\d+))? of|not among the 8 candidates")
    answer = search(client, column, {kind: row}).json()
    run, owners = loaded[min(column, 3)], tested.correspondence.caption_to_image
    if kind == "caption":
        relevant = {tested.image_ids[owners[row]]}
        whole = run.search(texts=[tested.captions[row]], k=100, candidates=8 if column == 4 else 0)
    else:
        relevant = {tested.caption_ids[n] for n in range(len(owners)) if owners[n] == row}
        whole = run.search(images=[tested.image_paths[row]], k=100, candidates=8 if column == 4 else 0)
    assert {item["id"] for item in answer["matching"]} == relevant
    assert [hit["matches"] for hit in answer["hits"]] == [hit["id"] in relevant for hit in answer["hits"]]
    positions = [hit.rank for hit in whole.hits[0][: 8 if column == 4 else None] if hit.id in relevant]
    low, high = rank.search(answer["rank"]).groups()
    assert bool(positions) == bool(low)
    if positions:
        assert int(low) <= positions[0] <= int(high or low)


def test_more_candidates_are_re_ranked_where_the_slider_says_so(client):
    few, many = (search(client, 4, {"caption": 0}, k).json() for k in (1, 20))
    assert len(few["hits"]) == 1
    assert len(many["hits"]) == 3
    assert re.search("of (1|20) candidates|not among", few["rank"])
    assert "of 20 candidates" in many["rank"]  # all images


def test_a_chosen_image_finds_captions(client, tested):
    chosen = search(client, 0, tested.image_paths[0].read_bytes()).json()
    stored = search(client, 0, {"image": 0}).json()
    assert [hit["caption"] for hit in chosen["hits"]] == [hit["caption"] for hit in stored["hits"]]
    assert (chosen["rank"], stored["rank"] is None) == (None, False)


def test_a_folder_finds_sentences_and_similar_images_and_sees_new_files(loaded, pictures, tested):
    told = []
    (pictures / "broken.png").write_bytes(b"no image")
    client = client_of(SearchService([loaded[0], loaded[3]], pictures, shown=3, report=told.append))
    assert "broken.png" in "".join(told)
    assert f"4 images of {pictures}" in client.get("/").text
    assert len(search(client, 0, {"text": "a red circle"}, 1).json()["hits"]) == 3
    similar = search(client, 0, {"image": 2}, 1).json()
    assert (similar["hits"][0]["id"], similar["rank"]) == (tested.image_paths[2].name, None)
    assert "similar images" in search(client, 2, {"image": 2}, 1).json()["error"]
    shutil.copy(tested.image_paths[9], pictures / "zz.png")
    assert "5 images of" in client.get("/").text
    assert len(client.get("/sample").json()["images"]) == 5
    shutil.rmtree(pictures)
    gone = client.get("/")
    assert (gone.status_code, "there is no folder" in gone.text) == (404, True)


def test_runs_of_different_splits_are_refused_unless_a_folder_is_given(loaded, monkeypatch):
    other = Collection("flickr8k test", ("a",), ())
    found = iter([Collection.of_split(loaded[0].galleries), other])
    monkeypatch.setattr(Collection, "of_split", lambda galleries: next(found))
    with pytest.raises(UsageError, match=r"shapes test.*flickr8k test.*--images FOLDER"):
        SearchService(loaded[:2], None, shown=3, report=print)


def test_pictures_are_small_jpegs_whose_address_changes_with_the_file(client):
    address = client.get("/sample").json()["images"][0]["picture"]
    answer = client.get(address)
    assert max(Image.open(io.BytesIO(answer.content)).size) <= 256
    assert "max-age" in answer.headers["cache-control"]
    assert re.fullmatch(r"/pictures/\d+\?[0-9a-f]+", address)


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ({"text": "zebra giraffe"}, 200, "no word of"),
        ({"text": "  "}, 200, "has no word"),
        ({"caption": 10_000}, 200, "load the page again"),
        ({"image": "0"}, 200, "load the page again"),
        ([1], 200, "no JSON object"),
        (b"no image", 200, "no image that can be read"),
        ({"text": "a" * 200_000}, 413, "too large"),
    ],
)
def test_a_query_that_cannot_be_answered_is_one_sentence(query, status, sentence, client):
    answer = search(client, 0, query)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert sentence in answer.json()["error"]


def test_an_upload_is_limited(client, monkeypatch):
    monkeypatch.setattr(application, "MOST_IMAGE", 1000)
    assert search(client, 0, b"x" * 1001).status_code == 413


@pytest.mark.parametrize("candidates", ["", "0", "-1", "21", "x", "1e9"])
def test_the_number_of_candidates_is_checked(candidates, client):
    assert "between 1 and 20" in search(client, 4, {"text": "a red circle"}, candidates).json()["error"]


@pytest.mark.parametrize("address", ["/search/9", "/pictures/99", "/static/app.py", "/static/..%2fapp.py", "/nowhere"])
def test_what_is_not_there_is_404(address, client):
    answer = client.post(address, content="{}") if address.startswith("/search") else client.get(address)
    assert answer.status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "192.168.0.7:8765"])
def test_another_host_name_is_refused(host, client):
    assert client.get("/", headers={"Host": host}).status_code == 400


def test_a_request_of_another_page_is_refused(client):
    for origin, status in (("http://evil.example", 403), ("null", 403), ("http://127.0.0.1:8765", 200)):
        assert client.get("/sample", headers={"Origin": origin}).status_code == status


@pytest.mark.parametrize("address", ["/", "/style.css", "/static/serve.js", "/static/icon.svg", "/sample"])
def test_nothing_comes_from_elsewhere_and_nothing_inline_runs(address, client):
    answer = client.get(address)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    text = answer.text.replace("http://www.w3.org/2000/svg", "")
    assert "//" not in text.replace("// ", "") or not re.search(r"https?://", text)
    assert not re.search(r"<style|<script>| on\w+=|style=", text)


def test_a_name_of_a_run_cannot_write_markup(loaded, monkeypatch):
    monkeypatch.setitem(loaded[0].model, "name", "<img src=x>")
    page = client_of(SearchService(loaded[:1], None, shown=3, report=print)).get("/").text
    assert "&lt;img src=x&gt;" in page
    assert "<img" not in page
