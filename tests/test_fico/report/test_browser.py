"""Every page in a headless Chromium, wide and on a phone, light and dark; ``explore.html`` used by keyboard."""

import pytest

from fico.cli.report import report_runs
from fico.report.html.data_page import write_data_page

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright (extra browser) is not installed")
SIZES = [(width, scheme) for width in (1400, 390) for scheme in ("light", "dark")]
# Texts whose contrast with what lies behind them is below that of WCAG 2.2, level AA.
FAINT = """() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((c, n) => a * c + (1 - a) * below[n]);
  const behind = (node) => {
    if (!node || node.nodeType !== 1) return [255, 255, 255];
    const colour = rgba(getComputedStyle(node).backgroundColor);
    return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(node.parentElement));
  };
  const light = (colour) => colour.map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.checkVisibility({ visibilityProperty: true })) continue;
    if (["SCRIPT", "STYLE", "NOSCRIPT", "OPTION"].includes(node.tagName)) continue;
    const style = getComputedStyle(node);
    const below = behind(node);
    const ink = over(rgba(node.closest("svg") ? style.fill : style.color), below);
    const [high, low] = [light(ink), light(below)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const wanted = size >= 24 || (size >= 18.66 && style.fontWeight >= 600) ? 3 : 4.5;
    const ratio = (high + 0.05) / (low + 0.05);
    const text = walker.currentNode.textContent.trim().slice(0, 30);
    if (ratio < wanted) found.add(`${text} ${node.className}: ${ratio.toFixed(2)}`);
  }
  return [...found];
}"""
NAMELESS = """() => [...document.querySelectorAll("button, input, select, a, [role=region], dialog, summary")]
  .filter((node) => !node.ariaLabel && !node.textContent.trim())
  .filter((node) => ![...(node.labels || [])].some((label) => label.textContent.trim()))
  .map((node) => node.outerHTML.slice(0, 80))"""
# Elements that stick out of the page, other than within a part that scrolls.
CUT = """() => [...document.querySelectorAll("main *")].filter((node) => {
    const box = node.getBoundingClientRect();
    return box.width && (box.right > innerWidth + 1 || box.left < -1) && !node.closest(".scroll, pre, .hidden");
  }).map((node) => node.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="session")
def folder(runs, tested, tmp_path_factory):
    """A report of four runs, the pages of two of them, and that of their data."""
    folder = tmp_path_factory.mktemp("pages")
    report_runs([runs[name] for name in ("vsrn", "ucch", "scan", "xvlm")], folder)
    for name in ("ucch", "xvlm"):
        (folder / f"{name}.html").write_bytes((runs[name] / "report.html").read_bytes())
    dataset = type("Tested", (), {"name": "shapes", "root": "generated"})()
    write_data_page(folder / "data.html", dataset, {"test": tested}, sample_of="test", samples=6)
    return folder


@pytest.fixture(params=SIZES, ids=[f"{width} {scheme}" for width, scheme in SIZES])
def opened(request, browser):
    """Opens a page; nothing may be printed to its console or asked of a network."""
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    said, sent = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda outgoing: sent.append(outgoing.url))

    def open_page(path):
        page.goto(path.as_uri())
        return page

    yield open_page
    assert said == []
    assert [url for url in sent if not url.startswith(("file:", "data:"))] == []
    page.close()


@pytest.mark.parametrize("name", ["ucch", "xvlm", "report", "explore", "data"])
def test_nothing_is_cut_faint_or_nameless(opened, folder, name):
    page = opened(folder / f"{name}.html")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(CUT) == []
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(FAINT) == []
    assert page.locator("img:not([alt])").count() == 0
    stacked = "[...document.querySelectorAll('.scroll:has(.stacked)')].every(n => n.scrollWidth <= n.clientWidth + 1)"
    assert page.evaluate(stacked), "the second direction of a run's metrics needs no scrolling"


@pytest.mark.parametrize("opened", [SIZES[0], SIZES[-1]], indirect=True, ids=["wide light", "phone dark"])
class TestExplore:
    @pytest.fixture
    def page(self, opened, folder):
        return opened(folder / "explore.html")

    def test_the_first_queries_are_shown_for_every_run(self, page):
        assert page.locator("#queries article").count() == 20
        assert page.locator("#queries article").first.locator(".run").count() == 4
        page.get_by_role("button", name="Show more").click()
        assert page.locator("#queries article").count() == 40

    def test_words_and_categories_choose_queries(self, page):
        page.keyboard.press("/")
        page.keyboard.type("circle")
        others = page.locator(".subject .words").filter(has_not_text="circle")
        sync_api.expect(others).to_have_count(0)
        page.locator("#text").fill("")
        page.get_by_label("Category").select_option(label="star")
        chips = page.locator("#queries article").first.locator(".chips span").all_inner_texts()
        assert "star" in chips

    def test_what_a_finds_and_b_does_not_comes_first(self, page):
        page.get_by_label("Order").select_option("wins")
        alone = int(page.locator("#status").inner_text().split("A alone finds ")[1].split(",")[0])
        first = page.locator("#queries article")
        for number in range(min(alone, 20)):
            runs = first.nth(number).locator(".run h3 span")
            assert runs.nth(0).get_attribute("class") == "hit"
            assert runs.nth(1).get_attribute("class") == ""
        if alone < 20:
            kinds = [first.nth(alone).locator(".run h3 span").nth(run).get_attribute("class") for run in (0, 1)]
            assert kinds != ["hit", ""]

    def test_runs_can_be_hidden_and_images_be_the_queries(self, page):
        page.get_by_label("ucch, 64 bits", exact=True).last.uncheck()
        page.get_by_label("images", exact=True).check()
        assert page.locator("#queries article").first.locator(".run").count() == 3
        assert page.locator("#queries article .subject img").count() == 20

    def test_a_picture_is_enlarged_and_queries_are_stepped_through_by_keyboard(self, page):
        page.keyboard.press("j")
        page.keyboard.press("j")
        assert page.evaluate("[...document.querySelectorAll('#queries article')].indexOf(document.activeElement)") == 1
        page.keyboard.press("k")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        sync_api.expect(page.locator("#large img")).to_be_visible()
        assert page.locator("#large li").count() == 5
        page.keyboard.press("Escape")
        sync_api.expect(page.locator("#large")).to_be_hidden()
