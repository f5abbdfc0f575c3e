"""The interactive page in a real browser: nothing asked for, nothing broken, everything works."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise

import bare
import numpy as np
import pytest

from igaviz.checks import Severity, Verdict
from igaviz.checks.finding import NOT_JUDGED
from igaviz.checks.wording import span
from igaviz.cli.main import main
from igaviz.dump import open_dump
from igaviz.figures import theme
from igaviz.metrics.combine import combine
from igaviz.metrics.course import CourseBuilder, scale_of
from igaviz.percent import percent
from igaviz.report.html import write_page
from igaviz.report.html.colours import GLYPHS
from igaviz.report.html.data import factor, numbers_base64
from igaviz.survey.page import Page, PageRun, page
from igaviz.survey.summary import summary_rows

EVIL = "<script>alert(1)<"  # a folder's name can't hold a slash: `</script>` needs two
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


REST = 300  # ms after which charts have followed


@pytest.fixture(scope="module")
def file(tmp_path_factory, request):
    """A page of a run with a nasty name, and of a sick one; written by the command line."""
    folder = tmp_path_factory.mktemp("page")
    for name, gamma in ((EVIL, 1.0), ("script>&amp;sick", 0.0)):
        (folder / name).mkdir()
        bare.write(folder / name / "a.h5", steps=(100, 200, 300), layers=2, heads=3, gamma=gamma)
    written = folder / "report.html"
    runs = [str(folder / EVIL), str(folder / "script>&amp;sick")]
    arguments = ["summary", *runs, "--html", str(written), "--figures", "2", "--jobs", "1"]
    assert main(arguments) == 0
    assert main(arguments) == 2  # nothing is overwritten
    return written


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with sync.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def tab(browser, file):
    """The page, and what it said and asked for while it was opened and used."""
    opened = browser.new_page(viewport={"width": 1400, "height": 1000}, color_scheme="light")
    opened.said = []
    opened.asked = []
    opened.on("console", lambda message: opened.said.append(message.text))
    opened.on("pageerror", lambda error: opened.said.append(str(error)))
    opened.on("dialog", lambda dialog: (opened.said.append("dialog"), dialog.dismiss()))
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.goto(file.as_uri())
    opened.wait_for_selector("#compare .main-svg")
    yield opened
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith("data:")] == [file.as_uri()]


def runs_of(file):
    return [file.parent / name for name in (EVIL, "script>&amp;sick")]


def wait_until(tab, condition):
    """Wait until JavaScript gives true; the page's policy forbids Playwright's own way."""
    for _ in range(300):
        if tab.evaluate(condition):
            return
        tab.wait_for_timeout(100)
    raise AssertionError(f"never so: {condition}")


def text(tab, selector):
    return tab.locator(selector).first.inner_text()


def test_names_from_dumps_stay_text(tab, file):
    assert tab.locator(".run").all_inner_texts() == ["script>&amp;sick", EVIL]  # the sick one first
    assert tab.locator("body script").count() == 2 + 2 * 2 + 2
    assert EVIL in text(tab, "footer .command")
    assert any(EVIL in name for name in tab.locator("#lines li").all_text_contents())
    hover = "document.querySelector('#compare .plot').data.map((line) => line.hovertemplate)"
    assert not any("<script" in said for said in tab.evaluate(hover))
    source = file.read_text("utf-8")
    assert EVIL not in source
    assert "unsafe-eval" not in source


def test_the_policy_forbids_scripts_and_network(tab):
    ran = tab.evaluate(
        """() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';
        document.body.append(s); return window.ran ?? 0; }"""
    )
    assert ran == 0
    failed = tab.evaluate("fetch('https://example.org').then(() => 'sent', () => 'refused')")
    assert failed == "refused"
    assert len(tab.said) >= 2  # the browser says what it refused
    tab.said.clear()


def test_the_sick_run_is_shown_first(tab):
    assert text(tab, "h1").endswith("1 of 2 runs is sick: script>&amp;sick")
    assert tab.locator("#run").input_value() == "1"
    assert tab.locator(".since").all_inner_texts() == ["since step 200 or before"]  # none judged
    strip = tab.locator(".strip").first
    assert strip.get_attribute("aria-label").endswith(
        "from step 100 to 300: sick since step 200 or before"
    )
    assert strip.locator("rect.error").count() == 1
    assert not tab.locator(".strip").nth(1).locator("rect.error").count()
    ends = tab.evaluate("document.querySelector('#courses .plot')._fullLayout.yaxis.range")
    assert ends[1] >= 0.012  # an effect of nothing is no sawtooth of what float16 maps round


def test_what_geometry_moves_and_what_to_do_come_before_all_that_is_to_be_looked_at(tab, file):
    titles = tab.locator("h1, h2").all_inner_texts()[1:]
    assert titles[:5] == ["Runs", "Findings", "Layers and heads", "Over the steps", "Runs compared"]
    assert titles[5:] == ["Figures of the chosen head", "What the numbers mean"]
    rows = [r for r in summary_rows(open_dump(*runs_of(file)), by="head") if r.step == 300]
    told = tab.locator(".effects div").all_inner_texts()
    for name, said in zip(("script>&amp;sick", EVIL), told, strict=True):
        effects = [combine([r.values])["geometry_effect"] for r in rows if r.run == name]
        assert len(effects) == 6
        assert said.split("\n")[0] == f"Geometry moves in {name}"
        assert f"\n{percent(np.median(effects))} of attention\n" in said
        assert said.endswith(f"the median of 6 heads at step 300\nby head {span(effects, percent)}")
    assert text(tab, "#courses h3") == "geometry effect"


def test_the_slider_and_the_arrows_change_the_step(tab):
    tab.select_option("#metric", "entropy")
    tab.locator("#step").focus()
    before = tab.locator(".cell").first.inner_text(), text(tab, "#step-name")
    assert before[1] == "300, maps"
    tab.keyboard.press("ArrowLeft")
    after = tab.locator(".cell").first.inner_text(), text(tab, "#step-name")
    assert after[1] == "200, maps"
    assert after[0] != before[0]
    tab.click("#before")
    assert text(tab, "#step-name") == "100, maps"
    assert tab.locator("#step").get_attribute("aria-valuetext") == "step 100, maps"
    tab.click("#after")
    tab.click("#after")
    assert tab.locator("#after").is_disabled()
    tab.wait_for_timeout(REST)
    assert text(tab, "#live").startswith("Step 300, layer ")
    assert tab.evaluate("document.querySelector('#courses .plot').layout.shapes[0].x0") == 300


def test_a_head_is_chosen_by_keyboard_and_by_click(tab):
    tab.select_option("#metric", "verdict")
    tab.locator('.cell[data-row="0"][data-column="0"]').click()
    assert text(tab, "#head h3") == "Layer 0, head 0"
    assert tab.locator("#figures figure img").count() == 3
    assert all(
        tab.evaluate("[...document.querySelectorAll('#figures img')].map((i) => i.alt !== '')")
    )
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    assert text(tab, "#head h3") == "Layer 1, head 1"
    label = tab.locator(":focus").get_attribute("aria-label")
    assert label.startswith("layer 1, head 1: error, D1")
    assert text(tab, "#said") == label
    tab.keyboard.press("Home")
    assert tab.locator(":focus").get_attribute("aria-label").startswith("layer 1, head 0: error")
    assert "igaviz render" in text(tab, "#figures .draw code")
    tab.locator('.cell[data-row="0"][data-column="0"]').click()
    tab.locator(".enlarge").first.click()
    assert tab.locator("#large").is_visible()
    tab.keyboard.press("Escape")


def test_the_page_shows_what_was_measured(tab, file):
    tab.select_option("#metric", "geometry_effect")
    rows = [r for r in summary_rows(open_dump(*runs_of(file))) if r.run == EVIL and r.step == 300]
    tab.select_option("#run", "0")
    for row in rows:
        shown = tab.locator(f'.cell[data-row="{row.layer}"][data-column="{row.head}"]').inner_text()
        assert float(shown) == pytest.approx(row.values["geometry_effect"], rel=4e-3)


def test_a_finding_leads_to_its_head(tab):
    tab.locator("button.show").first.click()
    assert tab.locator("#run").input_value() == "1"
    assert tab.locator(":focus").get_attribute("class").startswith("cell")


def test_the_button_of_a_finding_shows_the_head_that_it_calls_the_worst(tab):
    named = [
        (re.search(r"[Ww]orst on head (\d+)", told.inner_text()), told.locator("button.show"))
        for told in tab.locator(".finding .found").all()
    ]
    worst = [(found[1], button.inner_text()) for found, button in named if found]
    assert {head for head, _ in worst} - {"0"}  # not always the first
    assert all(f", head {head}" in text for head, text in worst)


def test_charts_have_their_numbers_as_tables(tab):
    details = tab.locator("#courses details").first
    details.locator("summary").click()
    details.locator("tbody tr").first.wait_for()  # `toggle` comes a moment after the click
    assert details.locator("tbody tr").count() == 3
    assert tab.locator(".chart .plot[role=img]").count() == tab.locator(".chart .plot").count() >= 3


def test_dark_and_light(tab):
    def paper():
        return tab.evaluate("getComputedStyle(document.body).backgroundColor")

    def colour(name):
        with theme.style(name):
            return f"rgb({', '.join(str(int(theme.PAPER[k : k + 2], 16)) for k in (1, 3, 5))})"

    assert paper() == colour("light")
    tab.click("#theme")
    assert paper() == colour("dark")
    tab.emulate_media(color_scheme="dark")
    tab.click("#theme")
    assert paper() == colour("light")
    tab.emulate_media(color_scheme="light")


CONTRASTS = """() => {
  const parts = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const under = (found) => {
    for (let at = found; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = parts(getComputedStyle(at).backgroundColor);
      if (alpha === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const low = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const found = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !found.checkVisibility()) continue;
    if (found.closest('script, :disabled')) continue;
    const style = getComputedStyle(found);
    const svg = found.closest('svg');
    const [a, b] = [light(parts(svg ? style.fill : style.color)), light(under(found))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) low.push([texts.currentNode.data.slice(0, 40), contrast]);
  }
  return low;
}"""


@pytest.mark.parametrize("metric", ["verdict", "geometry_effect", "geo_bias_mean"])
def test_text_stands_out_in_both_themes(tab, metric):
    tab.select_option("#metric", metric)
    tab.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    for _ in range(2):
        tab.wait_for_timeout(REST)
        assert tab.evaluate(CONTRASTS) == []
        tab.click("#theme")
    tab.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = false; })")


def test_every_control_is_reached_by_tab_and_shows_it(tab):
    first = "document.querySelector('a, button, input, select, [tabindex]')"
    tab.evaluate(f"{first}.focus()")
    reached = [tab.evaluate(f"{first}.className")]
    for _ in range(40):
        tab.keyboard.press("Tab")
        found = tab.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
            const outlined = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1;
            return [e.id || e.className, outlined]; }"""
        )
        reached.append(found[0])
        assert found[1], found
        if found[0].startswith("cell"):
            break
    assert reached[0] == "skip"
    assert reached[-1].startswith("cell")
    assert {"theme", "run", "metric", "step", "before"} <= set(reached)
    order = tab.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((h) => +h.tagName[1])")
    assert order[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(order))


def test_paper_is_light_says_what_it_shows_and_cuts_nothing(tab):
    tab.select_option("#metric", "entropy")
    tab.emulate_media(color_scheme="dark", media="print")
    tab.set_viewport_size({"width": 695, "height": 1000})
    wait_until(tab, "[...document.querySelectorAll('.plot')].every((p) => p.layout.width)")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert text(tab, "#shown").endswith("(train), entropy, nat, step 300, maps")
    unused = "#step, #run, #metric, #theme, .show, section:has(> details:only-child)"
    assert tab.locator(unused).count() > 5
    assert not tab.locator(unused).filter(visible=True).count()
    wait_until(tab, "document.documentElement.scrollWidth <= 695")  # charts follow when they can
    fits = "(p) => p.layout.width <= p.clientWidth"
    wait_until(tab, f"[...document.querySelectorAll('.plot')].every({fits})")
    tab.emulate_media(color_scheme="light", media="screen")
    tab.set_viewport_size({"width": 1400, "height": 1000})
    wait_until(tab, "[...document.querySelectorAll('.plot')].every((p) => !p.layout.width)")


def test_a_narrow_screen_never_scrolls_sideways(tab):
    tab.set_viewport_size({"width": 400, "height": 800})
    wait_until(tab, "document.documentElement.scrollWidth <= 400")  # charts follow when they can
    tab.set_viewport_size({"width": 1400, "height": 1000})


def test_pictures_beyond_the_size_are_files_beside_the_page(tmp_path, browser):
    source = bare.write(tmp_path / "x.h5", heads=2, layers=1)
    gathered = page(open_dump(source), folder=tmp_path / "drawn", pictured=2)
    assert len(gathered.rendering.pictures) == 6
    sizes = [picture.path.stat().st_size for picture in gathered.rendering.pictures]
    small = write_page(gathered, tmp_path / "a.html", command="", made="", max_bytes=0)
    assert (small.embedded, len(small.linked)) == (0, 6)
    room = small.n_bytes + 4 * sum(sizes[:2]) // 3 + 2000
    mixed = write_page(gathered, tmp_path / "b é.html", command="", made="", max_bytes=room)
    assert (mixed.embedded, len(mixed.linked)) == (2, 4)
    assert mixed.n_bytes <= room
    assert all(path.exists() and path.parent.name == "b é_figures" for path in mixed.linked)
    opened = browser.new_page()
    opened.goto(mixed.path.as_uri())
    opened.wait_for_selector("#figures img")
    opened.evaluate(
        "document.querySelectorAll('#figures img').forEach((i) => { i.loading = 'eager'; })"
    )
    wait_until(opened, "[...document.querySelectorAll('#figures img')].every((i) => i.complete)")
    widths = opened.evaluate(
        "[...document.querySelectorAll('#figures img')].map((i) => i.naturalWidth)"
    )
    assert len(widths) == 3
    assert min(widths) > 0
    opened.close()


def of_size(runs, steps, layers, heads):
    """A page of random numbers: what is written is of that size, whatever the numbers are."""
    from dataclasses import replace

    from igaviz.checks.finding import HEALTHY, Diagnosis, Severity
    from igaviz.metrics import METRICS
    from igaviz.survey.drawing.drawn import Rendering

    rng = np.random.default_rng(0)
    builder = CourseBuilder()
    names = [metric.name for metric in METRICS]
    for step in range(2):
        builder.add(step, 0, {0: dict.fromkeys(names, 1.0)}, from_maps=True)
    shape = steps, layers, heads
    course = replace(
        builder.course(),
        steps=np.arange(steps) * 100,
        from_maps=np.ones(steps, bool),
        layers=tuple(range(layers)),
        heads=tuple(range(heads)),
        numbers={name: rng.normal(size=shape).astype(np.float32) for name in names},
    )
    verdicts = np.ones(shape, np.uint8)
    found = [
        PageRun(f"run{k}", "train", course, verdicts, (None, HEALTHY), steps, ("x",), "x", None)
        for k in range(runs)
    ]
    scales = {name: scale_of([course.numbers[name]]) for name in names}
    nothing = Diagnosis(Severity.HEALTHY, 0, (), (), (), (), (), ())
    return Page(tuple(found), nothing, scales, Rendering((), (), ()), 0)


def test_what_is_code_in_a_finding_is_code_on_the_page(tmp_path):
    def invert(file):
        layer = file["steps/000000100/batch/0/layers/0"]
        layer["geo_bias"][...] *= -1
        logits = layer["logits_before"][...] + layer["geo_bias"][...]
        layer["attention"][...] = bare.softmax(logits)

    source = bare.write(tmp_path / "x.h5", layers=1, change=invert)
    gathered = page(open_dump(source), folder=tmp_path / "drawn", pictured=0)
    made = write_page(gathered, tmp_path / "x.html").path.read_text("utf-8")
    (article,) = re.findall(r'<article class="finding.*?</article>', made, flags=re.S)
    assert "record <code>geo_bias_sign = -1</code>." in article
    assert "`" not in article


def test_ten_runs_of_two_hundred_steps_stay_below_30_mb(tmp_path):
    written = write_page(of_size(10, 200, 8, 16), tmp_path / "x.html")
    assert 20e6 < written.n_bytes < 30e6


def test_float16_keeps_numbers_of_any_size():
    import base64
    import zlib

    builder = CourseBuilder()
    values = [1e-7, 0.25, 3.5e33, 0.0]
    heads = {k: {"local_global_ratio": v, "nonfinite": 1e6 * v} for k, v in enumerate(values)}
    builder.add(1, 0, heads, from_maps=True)
    builder.add(2, 0, {0: {"geo_range": "beyond", "gamma": -70_000.0}}, from_maps=False)
    course = builder.course()
    scales = {name: scale_of([found]) for name, found in course.numbers.items()}
    run = PageRun("x", "train", course, np.zeros(1, np.uint8), (None,), 2, (), "", None)
    made = Page((run,), None, scales, None, 0)
    low_high = np.frombuffer(zlib.decompress(base64.b64decode(numbers_base64(run, made))), np.uint8)
    stored = np.ascontiguousarray(low_high.reshape(2, -1).T).view("<f2").ravel().astype(float)
    by_name = dict(zip(course.numbers, stored.reshape(len(course.numbers), -1), strict=True))
    assert factor(course, "local_global_ratio", scales["local_global_ratio"]) == 0  # logarithms
    decoded = 10 ** by_name["local_global_ratio"][:4]
    assert decoded == pytest.approx(values, rel=0.04, abs=0)  # of 33.5 half a unit is 1/64
    assert by_name["geo_range"][4] == np.inf
    assert by_name["gamma"][4] * factor(course, "gamma", scales["gamma"]) == pytest.approx(-7e4)


def test_a_run_is_sick_since_its_last_fully_healthy_step():
    well, note, bad = (Verdict(Severity[name], None, "") for name in ("HEALTHY", "NOTE", "ERROR"))
    builder = CourseBuilder()
    for step in range(6):
        heads = {0: {"gamma": 1.0}, 1: {"gamma": 1.0}}
        builder.add(10 * step, 0, heads, from_maps=step in (0, 4))

    def run(*first):
        verdicts = np.array([[[found, 2]] for found in first], np.uint8)
        words = None, well, note, bad, NOT_JUDGED
        return PageRun("x", "", builder.course(), verdicts, words, 6, (), "", None)

    assert run(1, 3, 1, 3, 3, 1).sick_since() == 30  # the last step with maps is the fifth
    assert run(3, 3, 3, 3, 3, 3).sick_since() == 0
    assert run(4, 0, 3, 3, 3, 3).sick_since() == 20
    cases = (1, 3, 1, 3, 3, 1), (4, 0, 3, 3, 3, 3), (4, 2, 3, 3, 3, 3), (3, 3, 3, 3, 3, 3)
    assert [run(*first).sick_before() for first in cases] == [False, True, False, False]
    assert run(3, 3, 3, 3, 2, 3).sick_since() is None
    assert run(1, 0, 4, 1, 3, 1).severities().tolist()[:5] == [
        *([1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 1]),
    ]


def odd_dumps(folder):
    """Runs unlike those that the page was thought of for."""
    for name in ("one", "numbers", "broken"):
        (folder / name).mkdir()
    bare.write(folder / "one/a.h5", layers=1, heads=1)
    line = {"phase": "train", "attempt": 0, "layer": 0, "maps": 1, "heads": [0, 1]}
    lines = [line | {"step": step, "gamma": [1e-9 * step, None]} for step in (1, 2, 3)]
    text = "\n".join(map(json.dumps, lines)) + "\n"
    (folder / "numbers/scalars.rank-00000.jsonl").write_text(text)

    def spoil(file):
        file["steps/000000100/batch/0/layers/0/logits_before"][0, 3, 4] = np.nan

    bare.write(folder / "broken/a.h5", heads=24, layers=1, n=12, change=spoil)
    (folder / "broken/b.h5").write_bytes(b"no shard")
    return [folder / name for name in ("one", "numbers", "broken")]


EACH_METRIC = """() => { const s = document.getElementById('metric');
for (const o of s.options) { s.value = o.value; s.dispatchEvent(new Event('change')); } }"""


@pytest.mark.parametrize("runs", [1, 3])
def test_odd_runs_have_a_page_without_an_error(tmp_path, browser, runs):
    dump = open_dump(*odd_dumps(tmp_path)[:runs])
    gathered = page(dump, folder=tmp_path / "drawn", pictured=1)
    written = write_page(gathered, tmp_path / "x.html")
    opened = browser.new_page(viewport={"width": 400, "height": 800})
    said = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(written.path.as_uri())
    opened.wait_for_selector("#courses .main-svg")
    for place, run in enumerate(gathered.runs):
        opened.select_option("#run", str(place))
        opened.evaluate(EACH_METRIC)
        assert opened.locator("#step").is_visible() == (len(run.course.steps) > 1)
        assert ("No maps" in text(opened, "#figures")) == (run.run == "numbers")
    opened.wait_for_timeout(REST)
    assert said == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= 400
    assert ("b.h5" in opened.locator("main").inner_text()) == (runs == 3)
    opened.close()


def many_runs(folder):
    """Nine runs: a sick one, a sick one of numbers alone, and seven healthy ones."""
    for number in range(8):
        run = folder / f"run{number}"
        run.mkdir()
        gamma = 0.0 if number == 4 else 1.0
        bare.write(run / "a.h5", steps=(300, 600), layers=20, heads=3, n=24, gamma=gamma)
    line = {"phase": "train", "attempt": 0, "layer": 0, "maps": 1, "heads": [0, 1]}
    sick = {"gamma": [1e-4, 1e-4], "geometry_effect": [1e-5, 1e-5], "geo_bias_std_near": [0, 0]}
    (folder / "unmapped").mkdir()
    text = "\n".join(json.dumps(line | {"step": step} | sick) for step in (2000, 3000)) + "\n"
    (folder / "unmapped/scalars.rank-00000.jsonl").write_text(text)
    return open_dump(*sorted(path for path in folder.iterdir()))


@pytest.fixture(scope="module")
def crowd(tmp_path_factory, browser):
    """The page of more runs than lines can be told apart."""
    gathered = page(many_runs(tmp_path_factory.mktemp("dumps")), folder="unused", pictured=0)
    target = tmp_path_factory.mktemp("page") / "x.html"
    written = write_page(gathered, target)
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, bypass_csp=True)
    opened = context.new_page()
    opened.goto(written.path.as_uri())
    opened.wait_for_selector("#compare .main-svg")
    yield opened
    context.close()


def test_sick_runs_stand_first_whether_they_have_maps_or_not(crowd):
    assert text(crowd, "h1").endswith("2 of 9 runs are sick: run4 and unmapped")
    assert crowd.locator(".run").all_inner_texts()[:2] == ["run4", "unmapped"]
    row = crowd.locator(".runs tbody tr").nth(1).inner_text()
    assert "error" in row
    assert "geometry has no say, by numbers alone" in row


def test_four_cards_stand_in_a_row_and_columns_of_findings_end_alike(crowd):
    tops = (
        "[...document.querySelectorAll('.effects div')].map((e) => e.getBoundingClientRect().top)"
    )
    assert len(crowd.evaluate(tops)) == 4
    assert len(set(crowd.evaluate(tops))) == 1
    boxes = "[...document.querySelectorAll('.finding')].flatMap((e) => [...e.getClientRects()])"
    ends: dict[float, float] = {}
    for left, bottom in crowd.evaluate(f"{boxes}.map((r) => [r.left, r.bottom])"):
        ends[left] = max(ends.get(left, 0.0), bottom)
    one, other = ends.values()
    assert abs(one - other) < 130
    lined = (
        "[...document.querySelectorAll('.findings *')]"
        ".filter((e) => getComputedStyle(e).borderLeftWidth === '4px')"
    )
    pieces = crowd.evaluate(f"{lined}.map((e) => [e.innerText.length, e.getClientRects().length])")
    assert len(pieces) > 10
    assert not [piece for piece in pieces if not piece[0] or piece[1] != 1]  # beside nothing


def test_many_runs_are_lines_in_the_colours_of_their_verdicts(crowd):
    chosen, *others = crowd.locator("#lines li").all_inner_texts()
    assert chosen.strip() == "run4 (train)"
    assert [other.split()[1:] for other in others] == [
        ["error:", "1", "run"],
        ["healthy:", "7", "runs"],
    ]
    drawn = "document.querySelector('#compare .plot').data.map((l) => [l.name, l.line.width])"
    lines = crowd.evaluate(drawn)
    assert [name for name, _ in lines][-2:] == ["unmapped", "run4"]  # above the healthy ones
    assert lines[-1][1] == max(width for _, width in lines)
    crowd.evaluate(
        """document.querySelector('#compare .plot')
        .emit('plotly_click', { points: [{ curveNumber: 0 }] })"""
    )
    wait_until(crowd, "document.querySelector('#run').selectedOptions[0].text[3] !== '4'")
    assert text(crowd, "#lines .shown").strip() == f"{lines[0][0]} (train)"


@pytest.mark.parametrize("width", [1400, 400])
def test_many_layers_have_low_rows_and_labels_that_do_not_touch(crowd, width):
    crowd.set_viewport_size({"width": width, "height": 1000})
    crowd.select_option("#metric", "entropy")
    crowd.wait_for_timeout(REST)
    assert (crowd.locator(".cell").first.inner_text() != "") == crowd.evaluate(
        "document.querySelector('.cell').clientWidth >= 34"
    )
    heights = crowd.evaluate(
        "[...document.querySelectorAll('.grid tbody tr')].map((r) => r.clientHeight)"
    )
    assert max(heights) <= 24
    crowd.set_viewport_size({"width": 1400, "height": 1000})


AXE = """async () => (await axe.run(document, { resultTypes: ['violations'] })).violations
  .map((found) => [found.id, found.nodes.map((node) => node.html.slice(0, 120))])"""


@pytest.mark.parametrize("theme_name", ["light", "dark"])
def test_axe_finds_no_barrier(crowd, theme_name):
    axe = pytest.importorskip("axe_playwright_python.base")
    crowd.emulate_media(color_scheme=theme_name)
    crowd.add_script_tag(content=axe.AXE_SCRIPT)
    crowd.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    crowd.wait_for_timeout(REST)
    assert crowd.evaluate(AXE) == []


def test_what_cannot_be_written_is_said_before_any_work(tmp_path, monkeypatch, capsys):
    taken = tmp_path / "there.html"
    taken.write_text("mine")
    dump = str(bare.write(tmp_path / "x.h5"))

    def says(*arguments):
        assert main(["summary", dump, *arguments]) == 2
        return capsys.readouterr().err

    assert "--force" in says("--html", str(taken))
    assert "can't write" in says("--html", str(tmp_path / "no" / "x.html"))
    said = says("--html", str(tmp_path / "y.html"), "--json", "--sort", "worst")
    assert said.endswith("--html prints no rows\nhint: leave --sort, --json out\n")
    assert "--figures, --force: only for --html" in says("--figures", "3", "--force")
    monkeypatch.setitem(__import__("sys").modules, "plotly", None)
    assert "pip install '.[html]' in the clone" in says("--html", str(tmp_path / "y.html"))
    assert taken.read_text() == "mine"


def test_colours_and_glyphs_are_those_of_the_figures():
    for name in ("light", "dark"):
        with theme.style(name):
            verdicts = {key: theme.VERDICTS[key][0] for key in GLYPHS}
        assert verdicts == GLYPHS
