"""The page of an evaluation in a real browser: it plays, filters, sorts, is driven by keys, and nothing in its data runs."""

import shutil
from dataclasses import replace

import pytest
from some_judgement import MODELS, figures_of, some_judgement, some_rows

from asr.page import Hypothesis, Judgement, write_page
from asr.page.alignment import align

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
EVIL = "<script>window.ran=1</script><img src=x onerror=window.ran=1></script><svg onload=window.ran=1>\"'>"


@pytest.fixture(scope="module")
def browser():
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("NO BROWSER, so the page is not tested: apt-get install -y chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program)
        yield opened
        opened.close()


@pytest.fixture
def view(browser, tmp_path):
    """Open the page of a judgement; at the end the console must have said nothing but what was `expected`."""
    said, contexts = [], []

    def view(judgement: Judgement, width: int = 1200, height: int = 800, inlined: int = 20_000_000, **settings):
        write_page(tmp_path, judgement, inlined)
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **settings))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.extend([request.url] if request.url.startswith("http") else []))
        page.goto((tmp_path / "report.html").as_uri())
        return page

    view.expected = []
    yield view
    for context in contexts:
        context.close()
    assert said == view.expected


def to_list(page) -> None:
    page.evaluate("document.getElementById('utterances').scrollIntoView()")
    page.wait_for_selector(".row")


def ids(page) -> list[str]:
    """Of the rows that are in the document."""
    return page.locator(".row .head strong").all_text_contents()


def count(page) -> str:
    return page.locator("#count").text_content()


def wait_for_count(page, text: str) -> None:
    page.wait_for_function("text => document.getElementById('count').textContent === text", arg=text)


def is_played(page) -> None:
    page.wait_for_function("() => document.getElementById('audio').currentTime > 0.1", timeout=10_000)
    assert page.locator("#trouble").text_content() == ""


def errors(rows, model: str) -> dict[str, int]:
    found = align([row.words for row in rows], [row.hypotheses[model].words for row in rows])
    return {row.id: edits.errors for row, edits in zip(rows, found, strict=True)}


def test_references_and_hypotheses_are_told_as_they_were_aligned(view):
    judgement = some_judgement()
    page = view(judgement, height=20_000)
    to_list(page)
    edits = {
        model.name: align(
            [row.words for row in judgement.rows], [row.hypotheses[model.name].words for row in judgement.rows]
        )
        for model in MODELS
    }
    assert ids(page) == [row.id for row in judgement.rows]
    seen = page.evaluate("""[...document.querySelectorAll(".row")].map((row) => [...row.querySelectorAll(".words")].map((line) => [
        [...line.childNodes].map((node) => node.nodeType === 3 ? node.data : node.matches(".hidden") ? "" :
          node.matches(".s") ? node.querySelector("ins").textContent : node.matches(".i") ? node.textContent : "").join(""),
        [...line.childNodes].map((node) => node.nodeType === 3 ? node.data : node.matches(".hidden") ? "" :
          node.matches(".s") ? node.querySelector("del").textContent : node.matches(".d") ? node.textContent : "").join(""),
        line.querySelectorAll(".s, .d, .i").length, line.lang]))""")
    for i, (row, lines) in enumerate(zip(judgement.rows, seen, strict=True)):
        gap = "" if row.test_set == "chinese" else " "
        for model, (hypothesis, reference, wrong, language) in zip(MODELS, lines, strict=True):
            assert hypothesis.split() == gap.join(row.hypotheses[model.name].words).split()
            assert reference.split() == gap.join(row.words).split()
            assert wrong == edits[model.name][i].errors and language == ("zh" if gap == "" else "de")
    assert page.locator(".row .reference").all_text_contents() == [row.reference for row in judgement.rows]


@pytest.mark.parametrize("inlined", [20_000_000, 1000], ids=["inside", "beside"])
def test_recordings_play(view, inlined):
    page = view(some_judgement(), inlined=inlined)
    to_list(page)
    page.get_by_role("button", name="play general/2").click()
    is_played(page)
    assert page.locator("#playing").text_content() == "general/2"
    page.get_by_role("button", name="pause general/2").click()
    assert page.evaluate("document.getElementById('audio').paused")
    assert page.locator(".row").nth(0).locator("button").count() == 1
    page.get_by_role("searchbox").fill("general/39")
    wait_for_count(page, "1 of 40 utterances")
    assert page.locator(".row button").count() == 0 and "no recording" in page.locator(".row").text_content()


def test_a_recording_that_is_missing_is_said(view, tmp_path):
    page = view(some_judgement(), inlined=1000)
    view.expected = ["Failed to load resource: net::ERR_FILE_NOT_FOUND"]
    (tmp_path / "audio/1.flac").unlink()
    to_list(page)
    page.get_by_role("button", name="play general/1").click()
    page.wait_for_function(
        "() => document.getElementById('trouble').textContent.includes('the folder audio belongs beside')"
    )
    page.get_by_role("button", name="play general/2").click()
    is_played(page)


def test_filters_search_and_sorting(view):
    judgement = some_judgement()
    rows = judgement.rows
    page = view(judgement, height=20_000)
    to_list(page)
    base, tuned, exported = (errors(rows, model.name) for model in MODELS)
    expected = {
        "errors": [row.id for row in rows if tuned[row.id]],
        "right": [row.id for row in rows if not tuned[row.id]],
        "better": [row.id for row in rows if tuned[row.id] < base[row.id]],
        "worse": [row.id for row in rows if tuned[row.id] > base[row.id]],
        "differ": [
            row.id
            for row in rows
            if row.hypotheses["merge_lora"].words != row.hypotheses["convert_to_faster/int8"].words
        ],
    }
    for which, wanted in expected.items():
        page.locator("#which").select_option(which)
        wait_for_count(page, f"{len(wanted)} of 40 utterances")
        assert ids(page) == wanted
    page.locator("#which").select_option("all")
    orders = {
        "errors": lambda row: -tuned[row.id],
        "share": lambda row: -tuned[row.id] / len(row.words),
        "gain": lambda row: tuned[row.id] - base[row.id],
        "loss": lambda row: base[row.id] - tuned[row.id],
        "long": lambda row: -row.seconds,
        "short": lambda row: row.seconds,
        "id": lambda row: (row.test_set, int(row.id.split("/")[1])),
    }
    for order, key in orders.items():
        page.locator("#order").select_option(order)
        wanted = [row.id for row in sorted(rows, key=key)]
        page.wait_for_function("id => document.querySelector('.row strong').textContent === id", arg=wanted[0])
        assert ids(page) == wanted
    page.locator("#order").select_option("given")
    page.locator("#judged").select_option(label="convert_to_faster/int8")
    page.locator("#which").select_option("errors")
    wait_for_count(page, f"{sum(map(bool, exported.values()))} of 40 utterances")
    page.locator("#which").select_option("all")
    page.locator("[data-filter=speaker]").select_option(label="s/3")
    page.locator("#set").select_option(label="general")
    wanted = [row.id for row in rows if row.groups["speaker"] == "s/3" and row.test_set == "general"]
    wait_for_count(page, f"{len(wanted)} of 40 utterances")
    assert ids(page) == wanted
    page.get_by_role("button", name="show all").click()
    page.get_by_role("searchbox").fill("HAUSTÜR")
    wanted = [
        row.id
        for row in rows
        if "haustür" in " ".join([*row.words, *(w for h in row.hypotheses.values() for w in h.words)])
    ]
    wait_for_count(page, f"{len(wanted)} of 40 utterances")
    assert ids(page) == wanted
    page.get_by_role("searchbox").fill("no such text")
    wait_for_count(page, "0 of 40 utterances")
    assert ids(page) == []


def test_a_confusion_and_a_group_lead_to_their_rows(view):
    judgement = some_judgement()
    page = view(judgement, height=20_000)
    button = page.locator("#confusions details[open] button").first
    word, written = (button.get_attribute(name) for name in ("data-word", "data-written"))
    button.click()
    wanted = []
    for row in judgement.rows:
        edits = align([row.words], [row.hypotheses["merge_lora"].words])[0]
        wanted += [row.id] if ("S", word, written) in edits.pairs(row.words) else []
    assert len(wanted) > 0 and count(page) == f"{len(wanted)} of 40 utterances" and ids(page) == wanted
    assert page.locator("#confusion").text_content() == f"in which merge_lora writes {written} for {word}"
    page.get_by_role("button", name="show all").click()
    page.get_by_role("button", name="street").click()
    assert ids(page) == [row.id for row in judgement.rows if row.groups["domain"] == "street"]


def test_other_models_and_texts_as_written_can_be_shown(view):
    judgement = some_judgement()
    page = view(judgement)
    to_list(page)
    page.get_by_text("Models side by side").click()
    page.get_by_role("checkbox", name="base_model").uncheck()
    page.get_by_role("checkbox", name="texts as they were written, too").check()
    page.wait_for_selector(".raw")
    row = page.locator(".row").first
    assert row.locator(".words").count() == 2
    assert row.locator(".raw").all_text_contents() == [
        judgement.rows[0].hypotheses[model.name].text for model in MODELS[1:]
    ]


def test_keys_alone_move_play_and_search(view):
    judgement = some_judgement()
    page = view(judgement)
    current = "document.activeElement.querySelector('strong')?.textContent"
    for key, wanted in (
        ("j", 0),
        ("j", 1),
        ("ArrowDown", 2),
        ("k", 1),
        ("ArrowUp", 0),
        ("k", 0),
        ("End", 39),
        ("j", 39),
        ("k", 38),
        ("Home", 0),
        ("j", 1),
    ):
        page.keyboard.press(key)
        assert page.evaluate(current) == judgement.rows[wanted].id, key
        box = page.locator(".row[aria-current]").bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 800
        assert page.locator(".row[tabindex='0']").count() == 1
    page.keyboard.press(" ")
    is_played(page)
    page.keyboard.press(" ")
    assert page.evaluate("document.getElementById('audio').paused")
    page.keyboard.press("/")
    page.keyboard.type("general/7")  # j and k in a text are letters
    wait_for_count(page, "1 of 40 utterances")
    page.keyboard.press("Escape")
    assert page.evaluate(current) == "general/7" and count(page) == "1 of 40 utterances"


def test_the_focus_goes_through_the_page_in_the_order_in_which_it_is_read(view):
    page = view(some_judgement())
    places = []
    for _ in range(200):
        page.keyboard.press("Tab")
        place = page.evaluate("""(() => { const element = document.activeElement;
            return element === document.body ? null : element.getBoundingClientRect().top + scrollY })()""")
        if place is None or page.evaluate("document.activeElement.matches('.row')"):
            break
        places.append(place)
    assert page.evaluate("document.activeElement.matches('.row')")
    sections = page.evaluate(
        "[...document.querySelectorAll('main section')].map((one) => one.getBoundingClientRect().top + scrollY)"
    )
    reached = [sum(place >= top for top in sections) for place in places]
    assert reached == sorted(reached) and len(places) > 20


@pytest.mark.parametrize("inlined", [20_000_000, 1], ids=["inside", "beside"])
def test_nothing_that_the_data_says_runs(view, inlined):
    rows = some_rows(6)
    word = EVIL.replace(" ", "")
    evil = {model.name: Hypothesis(EVIL, [word, word]) for model in MODELS}
    bad = replace(
        rows[1], id=EVIL, reference=EVIL, words=["a", word, "b"], hypotheses=evil, groups={"speaker": EVIL, EVIL: EVIL}
    )
    groups = {kind: {EVIL: {"merge_lora": figures_of(rows, "merge_lora")}} for kind in ("speaker", EVIL)}
    sound = next(iter(some_judgement(4).audio.values()))
    page = view(
        some_judgement(rows=[bad, *rows[2:]], audio={EVIL: sound}, groups=groups, notes=[EVIL]), inlined=inlined
    )
    to_list(page)
    page.get_by_text("Models side by side").click()
    page.get_by_role("checkbox", name="texts as they were written, too").check()
    page.get_by_role("searchbox").fill(EVIL)
    wait_for_count(page, "1 of 5 utterances")
    page.wait_for_selector(".raw")
    row = page.locator(".row")
    assert row.locator(".reference").text_content() == EVIL == row.locator(".raw").first.text_content()
    assert row.locator("script, img").count() == 0 and page.locator("img").count() == 0
    row.get_by_role("button").click()
    is_played(page)
    page.locator("#confusions details[open] button").first.click()
    assert EVIL.split(" ")[0] in page.locator("#confusion").text_content()
    assert page.evaluate("window.ran") is None


def test_the_policy_stops_a_script_that_got_in_all_the_same(browser, tmp_path):
    write_page(tmp_path, some_judgement())
    file = tmp_path / "report.html"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace("</main>", "<script>window.ran=1</script><img src=x onerror=window.ran=1></main>"),
        encoding="utf-8",
    )
    page = browser.new_page()
    page.goto(file.as_uri())
    assert page.locator("main > script").count() == 1
    assert page.evaluate("window.ran") is None and page.locator("#count").text_content() == "40 utterances"
    page.close()


def test_ten_thousand_rows_are_few_in_the_document(view):
    page = view(some_judgement(10_000, 4))
    assert count(page) == "10,000 utterances"
    to_list(page)
    covered = """(() => { const element = document.elementFromPoint(innerWidth / 2, innerHeight / 2).closest(".row");
        return element && Number(element.getAttribute("aria-posinset")) })()"""
    end = page.evaluate("document.documentElement.scrollHeight")
    positions = []
    shares = (0.2, 0.5, 0.9, 0.3, 1.0)
    for share in shares:
        page.evaluate("top => window.scrollTo(0, top)", share * end)
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert 0 < page.locator(".row").count() < 60
        positions.append(page.evaluate(covered))
    for share, position in zip(shares, positions, strict=True):
        assert abs(position - share * 10_000) < 500
    assert page.locator(".row").last.get_attribute("aria-posinset") == "10000"
    for key, position in (("j", "1"), ("End", "10000"), ("Home", "1")):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.getAttribute('aria-posinset')") == position


def test_what_is_read_stays_where_it_is_while_rows_above_it_are_measured(view):
    page = view(some_judgement(2_000, 0))
    to_list(page)
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight / 2)")
    frame = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    page.evaluate(frame)
    for _ in range(30):
        before = page.evaluate(
            "[...document.querySelectorAll('.row')].map((row) => [row.ariaPosInSet, row.getBoundingClientRect().top])"
        )
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(60)
        page.evaluate(frame)
        after = dict(
            page.evaluate(
                "[...document.querySelectorAll('.row')].map((row) => [row.ariaPosInSet, row.getBoundingClientRect().top])"
            )
        )
        moved = {round(after[row] - top) for row, top in before if row in after and 0 < after[row] < 800}
        assert moved == {300}


@pytest.mark.parametrize("width", [360, 768, 1200])
def test_no_horizontal_scroll(view, width):
    long = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen" * 2
    rows = some_rows(8)
    words = [long, "und", long]
    wrong = {model.name: Hypothesis(long, [f"{long}x", "und"]) for model in MODELS}
    rows[1] = replace(rows[1], id=f"a/{long}", words=words, reference=long, hypotheses=wrong, groups={"speaker": long})
    page = view(some_judgement(rows=rows), width=width)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    to_list(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press(" ")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".row").count() > 1
    if width == 360:  # tables too are read without scrolling sideways
        wider = "[...document.querySelectorAll('.wide')].filter((one) => one.scrollWidth > one.clientWidth).length"
        assert page.evaluate(wider) == 0
        small = "[...document.querySelectorAll('.row button, #controls select')].filter((one) => one.getBoundingClientRect().height < 40).length"
        assert page.evaluate(small) == 0


CONTRAST = """(scheme) => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const over = (colour, below) => { canvas.fillStyle = below; canvas.fillRect(0, 0, 1, 1); canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3); };
    const light = (rgb) => rgb.map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const back = (one) => { const chain = []; for (let e = one; e; e = e.parentElement) chain.unshift(getComputedStyle(e).backgroundColor);
        return chain.reduce((below, colour) => `rgb(${over(colour, below).join()})`, "white"); };
    return Math.min(...[...document.querySelectorAll("p, td, th, ins, del, .soft, strong, h2, button, select, label, li span")]
        .filter((one) => one.checkVisibility()).map((one) => {
            const below = back(one), [a, b] = [light(over(getComputedStyle(one).color, below)), light(over(below, "white"))];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }));
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read(view, scheme):
    page = view(some_judgement(), color_scheme=scheme)
    to_list(page)
    brightness = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
    assert brightness > 200 if scheme == "light" else brightness < 60
    assert page.evaluate(CONTRAST, scheme) >= 4.5  # WCAG 2.2, 1.4.3


def test_an_error_is_told_by_more_than_its_colour(view):
    page = view(some_judgement(), height=20_000)
    to_list(page)
    styles = page.evaluate("""Object.fromEntries([".s ins", ".d", ".i"].map((kind) => { const one = document.querySelector(`.row ${kind}`);
        const style = getComputedStyle(one); return [kind, `${getComputedStyle(one, "::before").content} ${style.textDecorationLine} ${style.textDecorationStyle}`] }))""")
    assert len(set(styles.values())) == 3 and all("none" not in style for style in styles.values())


def test_without_javascript_figures_are_there(view):
    page = view(some_judgement(), java_script_enabled=False)
    assert page.get_by_text("The list needs JavaScript").is_visible()
    assert page.get_by_text("1 of 2 gates missed").is_visible() and page.locator("svg.plot").first.is_visible()


def test_an_evaluation_of_one_model_without_rows(view):
    page = view(
        some_judgement(models=MODELS[1:2], figures={}, rows=[], audio={}, differences=[], groups={}, silence={})
    )
    assert count(page) == "0 utterances"
    page.keyboard.press("j")
