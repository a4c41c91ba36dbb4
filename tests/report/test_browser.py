"""A report in a real browser: Chromium, without a screen and without a network."""

import shutil

import pytest
import result_folders

from jaxattr.report import write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs chromium and chromedriver on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1300,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(driver)
    with webdriver.Chrome(options=options, service=service) as running:
        yield running


@pytest.fixture
def show(browser):
    """Opens a folder of results; in the end nothing is in the console."""

    def opened(folder):
        path, _ = write_report(folder)
        browser.get(path.resolve().as_uri())
        return browser

    yield opened
    assert browser.get_log("browser") == []


def texts(browser, selector):
    return [e.text for e in browser.find_elements("css selector", selector)]


def control(browser, label):
    """The input of a label."""
    path = f"//label[span[text()='{label}']]//*[self::input or self::select]"
    return browser.find_element("xpath", path)


def set_value(browser, element, value):
    code = (
        "arguments[0].value = arguments[1];"
        "for (const kind of ['input', 'change'])"
        "  arguments[0].dispatchEvent(new Event(kind, {bubbles: true}));"
    )
    browser.execute_script(code, element, value)


def explained(tmp_path):
    files = (result_folders.NASTY, "b.png", "c.png")
    return result_folders.explanations(tmp_path / "r", files, ("agi", "saliency"))


MAKE = {
    "explanations": explained,
    "evaluation": lambda tmp_path: result_folders.evaluation(tmp_path / "r"),
    "boundaries": lambda tmp_path: result_folders.boundaries(tmp_path / "r"),
    "spectrum": lambda tmp_path: result_folders.spectrum(tmp_path / "r"),
    "robustness": lambda tmp_path: result_folders.robustness(tmp_path / "r"),
}


def spoken(browser):
    """Role, name and properties of all that a screen reader is given."""
    browser.execute_cdp_cmd("Accessibility.enable", {})
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    of = lambda node, field: node.get(field, {}).get("value", "")
    return [
        (
            of(node, "role"),
            of(node, "name").strip(),
            {p["name"]: p["value"].get("value") for p in node.get("properties", ())},
        )
        for node in nodes
        if not node["ignored"]
    ]


def no_name(browser):
    """Roles of what can be reached or seen as a picture and has no name."""
    page = ("RootWebArea",)
    return [
        role
        for role, name, properties in spoken(browser)
        if (properties.get("focusable") or role in ("image", "table", "columnheader"))
        and role not in page
        and not name
    ]


@pytest.mark.parametrize("kind", MAKE)
def test_a_screen_reader_has_names_and_roles(show, kind, tmp_path):
    browser = show(MAKE[kind](tmp_path))
    assert no_name(browser) == []
    found = spoken(browser)
    roles = {role for role, _, _ in found}
    assert {"main", "heading", "button"} <= roles
    # What can be reached does something that a reader knows to say.
    reached = {role for role, _, properties in found if properties.get("focusable")}
    assert reached <= {
        *("RootWebArea", "button", "radio", "slider", "combobox", "searchbox"),
        *("image", "region", "MenuListPopup", "option"),
    }
    tables = [name for role, name, _ in found if role == "table"]
    assert len(tables) == len(browser.find_elements("css selector", "table"))
    # The status tells how many are left after a filter.
    if kind == "evaluation":
        assert "120 of 120 rows" in [n for role, n, _ in found if role == "StaticText"]
    if kind == "explanations":
        browser.find_element("css selector", ".card").click()
        assert no_name(browser) == []
        (dialog,) = [name for role, name, _ in spoken(browser) if role == "dialog"]
        assert dialog == f"{result_folders.MARKUP}, 75.0%"


def test_a_name_that_is_missing_is_seen(show, tmp_path):
    """The test above can fail."""
    browser = show(explained(tmp_path))
    browser.execute_script(
        "document.querySelector('.card').replaceChildren();"
        "document.querySelector('input[type=range]').removeAttribute('aria-label');"
        "document.querySelector('input[type=range]').parentElement.outerHTML ="
        "  '<input type=range>';"
    )
    assert sorted(no_name(browser)) == ["button", "slider"]


@pytest.mark.parametrize("kind", ["explanations", "evaluation"])
def test_all_of_it_is_reached_by_the_tab_key_in_the_order_of_the_page(
    show, kind, tmp_path
):
    browser = show(MAKE[kind](tmp_path))
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    # Of radio buttons the chosen one is reached, the others by the arrows.
    expected = browser.execute_script(
        "window.all = [...document.querySelectorAll("
        "  'button, input, select, [tabindex]')]"
        "  .filter((e) => e.checkVisibility() && (e.type !== 'radio' || e.checked));"
        "return window.all.length"
    )
    reached = []
    for _ in range(expected):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        reached.append(
            browser.execute_script("return window.all.indexOf(document.activeElement)")
        )
        ring = "return getComputedStyle(document.activeElement).outlineStyle"
        if browser.execute_script("return document.activeElement.type") != "radio":
            assert browser.execute_script(ring) == "solid"
    assert reached == list(range(expected))

    # What had the focus has it again when the one photograph is closed.
    ActionChains(browser).send_keys(Keys.TAB).perform()
    card = browser.find_elements("css selector", ".card")[1]
    card.send_keys(Keys.SPACE)
    inside = "return document.activeElement.closest('dialog') !== null"
    for _ in range(8):
        assert browser.execute_script(inside)
        ActionChains(browser).send_keys(Keys.TAB).perform()
        if not browser.execute_script("return document.hasFocus()"):
            break
    browser.find_element("css selector", "dialog button").send_keys(Keys.ESCAPE)
    assert browser.switch_to.active_element == card


def test_gallery(show, tmp_path):
    browser = show(explained(tmp_path))
    assert texts(browser, "h1") == ["Explanations: 3 photographs"]
    assert len(texts(browser, ".card")) == 3
    assert result_folders.MARKUP in texts(browser, ".card .name")[0]
    assert "null" not in browser.find_element("css selector", "body").text

    # Another method: other scores.
    before = texts(browser, ".card")[0]
    control(browser, "Saliency").click()
    assert texts(browser, ".card")[0] != before

    # From the photograph to the map.
    opacity = lambda kind: float(
        browser.find_element("css selector", f".card .{kind}").value_of_css_property(
            "opacity"
        )
    )
    slider = control(browser, "Photograph to map")
    for value, photograph, over in ((0, 1, 0), (50, 1, 1), (100, 0, 1)):
        set_value(browser, slider, value)
        assert (opacity("under"), opacity("over")) == (photograph, over)
    loaded = (
        "return [...document.images].every((i) => i.complete && i.naturalWidth > 0)"
    )
    assert browser.execute_script(loaded)

    # Order and filter.
    order = control(browser, "Order")
    set_value(browser, order, "down\ninsertion")
    highest = texts(browser, ".card .name")
    set_value(browser, order, "up\ninsertion")
    assert texts(browser, ".card .name") == highest[::-1]
    set_value(browser, control(browser, "Filter by name or class"), "c.png")
    assert len(texts(browser, ".card")) == 1


def test_one_photograph_by_all_methods(show, tmp_path):
    browser = show(explained(tmp_path))
    from selenium.webdriver.common.keys import Keys

    card = browser.find_elements("css selector", ".card")[1]
    card.send_keys(Keys.ENTER)
    assert texts(browser, "dialog h2") == ["class 1, 75.0%"]
    assert texts(browser, "dialog .side .name") == ["the photograph", "AGI", "Saliency"]
    assert texts(browser, "dialog h3") == ["Insertion", "Deletion"]
    active = browser.switch_to.active_element
    assert active.text == "Close"
    active.send_keys(Keys.ARROW_RIGHT)
    assert texts(browser, "dialog h2") == ["class 2, 75.0%"]
    # The values under the pointer, by the keyboard.
    chart = browser.find_element("css selector", "dialog svg")
    chart.send_keys(Keys.ARROW_LEFT)
    assert texts(browser, "dialog .legend b")[0] != ""
    assert texts(browser, "dialog h2") == ["class 2, 75.0%"]
    chart.send_keys(Keys.ESCAPE)
    assert not browser.find_element("css selector", "dialog").is_displayed()


def test_tables(show, tmp_path):
    browser = show(result_folders.evaluation(tmp_path / "r"))
    everything = browser.find_elements("css selector", "table")[-1]
    head = lambda name: everything.find_element(
        "xpath", f".//th[button/span[text()='{name}']]"
    )
    column = lambda: [
        float(row.find_elements("css selector", "td")[-1].text)
        for row in everything.find_elements("css selector", "tbody tr")
    ]
    index = [t.split("\n")[0] for t in texts(browser, "table:last-of-type th")]
    assert "score" in " ".join(index)
    scores = lambda: browser.execute_script(
        "const t = [...document.querySelectorAll('table')].at(-1);"
        "const names = [...t.querySelectorAll('th button > span:first-child')]"
        "  .map((s) => s.textContent);"
        "const i = names.indexOf('score');"
        "const rows = [...t.querySelectorAll('tbody tr')];"
        "return rows.map((r) => Number(r.cells[i].textContent))"
    )
    button = head("score").find_element("css selector", "button")
    browser.execute_script("arguments[0].click()", button)
    assert head("score").get_attribute("aria-sort") == "descending"
    assert scores() == sorted(scores(), reverse=True)
    browser.execute_script("arguments[0].click()", button)
    assert scores() == sorted(scores())
    assert len(column()) == 120
    set_value(browser, control(browser, "Filter the rows"), "f7.png")
    assert len(column()) == 4


@pytest.mark.parametrize("kind", ["boundaries", "spectrum", "robustness"])
def test_other_results_open(show, kind, tmp_path):
    browser = show(getattr(result_folders, kind)(tmp_path / "r"))
    assert len(texts(browser, "section")) >= 2
    browser.find_element("css selector", "button.theme").click()
    theme = "return document.documentElement.dataset.theme"
    assert browser.execute_script(theme) in ("dark", "light")


def test_nothing_is_wider_than_a_phone(show, tmp_path):
    browser = show(explained(tmp_path))
    browser.set_window_size(500, 900)
    try:
        width = "return document.documentElement.scrollWidth <= window.innerWidth"
        assert browser.execute_script(width)
    finally:
        browser.set_window_size(1300, 1000)
