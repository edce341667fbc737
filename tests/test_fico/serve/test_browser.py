"""The page in a headless Chromium, where one and Playwright (extra ``browser``) are installed."""

import threading
import time

import pytest
import uvicorn

from fico.serve.app import make_app
from fico.serve.server import address, free_port

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright (extra browser) is not installed")
DONE = "#columns:not(:has([aria-busy])):has(.found li)"


@pytest.fixture(scope="module")
def site(service):
    with free_port(None) as bound:
        server = uvicorn.Server(uvicorn.Config(make_app(service), log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield address(bound)
        server.should_exit = True
        thread.join()


@pytest.fixture(params=[(1400, "light"), (390, "dark")], ids=["wide light", "phone dark"])
def page(request, browser, site):
    width, scheme = request.param
    opened = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    said, sent = [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda outgoing: sent.append(outgoing.url))
    opened.goto(site)
    opened.wait_for_selector("#captions button")
    yield opened
    assert said == []
    assert {url for url in sent if not url.startswith((site, "blob:"))} == set()
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    opened.close()


def shown(page, part):
    page.wait_for_selector(DONE)
    return page.locator(f".column {part}").all_inner_texts()


def test_a_sentence_is_typed_and_every_column_answers(page):
    page.keyboard.type("a red circle beside a zebra")  # the field has the focus
    page.keyboard.press("Enter")
    assert len(shown(page, ".found li")) == 5 * 3
    assert all("encoding" in times and "search" in times for times in shown(page, ".times"))
    assert "re-ranking" in shown(page, ".times")[-1]
    assert "zebra" in shown(page, ".unknown")[0]
    assert page.locator("#matching").is_hidden()


def test_a_caption_is_picked_by_keyboard_and_its_image_is_marked(page):
    page.locator("#captions button").first.focus()
    page.keyboard.press("Enter")
    ranks = shown(page, ".first")
    assert all(rank.startswith("matching image ") for rank in ranks)
    assert page.locator("#matching img").count() == 1
    found = page.locator(".column:has(.found li.match)").count()
    assert found == page.locator(".column:has(.first.match)").count()


def test_an_image_is_picked_and_a_found_caption_goes_on(page):
    page.locator("#images button").first.click()
    assert len(shown(page, ".found .words")) == 5 * 3
    page.locator(".found .words button").first.click()
    page.wait_for_selector(f"{DONE} .found img")
    assert len(shown(page, ".found img")) == 5 * 3


def test_the_slider_ranks_again_with_as_many_candidates(page):
    page.locator("#captions button").first.click()
    page.wait_for_selector(DONE)
    page.locator("#k").focus()
    page.keyboard.press("Home")
    assert page.locator("#candidates output").inner_text() == "1"
    sync_api.expect(page.locator(".column[data-stage=re-ranked] .found li")).to_have_count(1)
    sync_api.expect(page.locator(".column[data-stage=exact] .found li")).to_have_count(6)


def test_a_file_is_chosen_and_a_broken_one_is_one_sentence(page, tested):
    page.set_input_files("#file", tested.image_paths[0])
    assert len(shown(page, ".found li")) == 5 * 3
    assert page.locator("#chosen img").get_attribute("src").startswith("blob:")
    page.set_input_files("#file", {"name": "b.png", "mimeType": "image/png", "buffer": b"no image"})
    sync_api.expect(page.locator(".column .error").first).to_contain_text("no image that can be read")


def test_an_unknown_sentence_is_refused_in_the_columns(page):
    page.locator("#text").fill("zebra giraffe")
    page.get_by_role("button", name="Search").click()
    sync_api.expect(page.locator(".column .error").first).to_contain_text("no word of")
