"""Everybody can use the pages: by keyboard, by ear, with weak eyes, on a phone, in the dark."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from bank_pipeline_tests.pages.front import Front
from bank_pipeline_tests.pages.test_connect import (
    ONE_CONNECTION,
    consent_at_enable_banking,
    log_in,
    see_it_synced,
)

# Elements whose text stands out less from what is behind it than the guidelines ask (WCAG AA).
WEAK: Final = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const part = (value) => {
    value /= 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = rgba(getComputedStyle(one).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const weak = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
    if (!own || element.closest("button:disabled") || !element.checkVisibility()) continue;
    const [front, back] = [light(rgba(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < 4.5) weak.push(`${element.outerHTML} ${ratio.toFixed(2)}`);
  }
  return weak;
}"""
# What a person can act on and nobody could name.
NAMELESS: Final = """() => [...document.querySelectorAll("a, button, input, select, table")]
  .filter((one) => one.type !== "hidden" && one.checkVisibility())
  .filter((one) => !(one.innerText || one.getAttribute("aria-label") || (one.labels || []).length))
  .map((one) => one.outerHTML)"""


@pytest.fixture
def places(front: Front, tab: Page) -> list[str]:
    """The addresses of all kinds of pages, with a bank in them; `tab` is logged in."""
    log_in(front, tab)
    consent_at_enable_banking(tab)
    tab.get_by_role("button", name="Read these").click()
    expect(tab).to_have_url(ONE_CONNECTION)
    see_it_synced(front, tab)
    one = tab.url.removeprefix(front.url)
    tails = ("", "/accounts", "/reconnect", "/disconnect")
    own = [f"{one}{tail}" for tail in tails]
    return ["/login", "/connections", "/connect", "/connect?q=nothing", "/api/v1/docs", *own]


@pytest.fixture(params=["light", "dark"])
def phone(
    request: pytest.FixtureRequest, chromium: Browser, front: Front, tab: Page, places: list[str]
) -> Iterator[Page]:
    """The same session on a phone, by day or by night."""
    context = chromium.new_context(
        base_url=front.url,
        storage_state=tab.context.storage_state(),
        viewport={"width": 360, "height": 740},
        color_scheme=request.param,
        is_mobile=True,
    )
    try:
        yield context.new_page()
    finally:
        context.close()


def test_pages_can_be_read_and_named_and_fit_a_phone_by_day_and_by_night(
    phone: Page, places: list[str]
) -> None:
    for place in places:
        phone.goto(place)
        assert phone.evaluate(WEAK) == [], place
        assert phone.evaluate(NAMELESS) == [], place
        assert phone.evaluate("document.documentElement.scrollWidth") <= 360, place
        assert phone.locator("h1").count() == 1, place
        assert phone.title(), place
        assert phone.locator("html").get_attribute("lang") == "en"


def test_a_name_without_a_space_leaves_the_page_as_wide_as_the_phone(
    front: Front, phone: Page, places: list[str]
) -> None:
    """Names are the banks': nobody says how long a word is."""
    with front.services.sync.engine.begin() as db:
        long = "repeat('Sparkasse', 12)"
        db.execute(sa.text(f"UPDATE bank.connections SET institution_name = {long}"))
        db.execute(sa.text(f"UPDATE bank.institutions SET name = {long}"))
        db.execute(sa.text("UPDATE bank.accounts SET name = repeat('Tagesgeld', 12)"))
    for place in (*places, "/connect"):
        phone.goto(place)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 360, place
    phone.goto("/connections")
    name = phone.get_by_role("rowheader").first.bounding_box()
    assert name is not None
    assert name["width"] <= 360, "what stands beside a name is not pushed out of sight by it"


def test_a_bank_is_connected_by_keyboard_alone(front: Front, tab: Page) -> None:
    tab.goto("/login")
    expect(tab.get_by_label("Key of your team")).to_be_focused()
    tab.keyboard.type(front.make_key())
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", name="Connections")).to_be_visible()
    _tab_to(tab, "Connect a bank")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", name="Connect a bank")).to_be_visible()
    _tab_to(tab, "Choose your bank at Plaid")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("button", name="Leave without connecting")).to_be_visible()


def _tab_to(tab: Page, name: str) -> None:
    """Press the tabulator until this has the focus."""
    tab.wait_for_load_state("load")
    seen: list[Any] = []
    for _ in range(60):
        tab.keyboard.press("Tab")
        seen.append(tab.evaluate("document.activeElement.innerText"))
        if seen[-1] == name:
            return
    raise AssertionError(f"{name} cannot be reached by keyboard, but {[*dict.fromkeys(seen)]}")


def test_without_scripts_a_bank_is_connected_all_the_same(front: Front, chromium: Browser) -> None:
    context = chromium.new_context(base_url=front.url, java_script_enabled=False)
    tab = context.new_page()
    log_in(front, tab)
    consent_at_enable_banking(tab)
    tab.get_by_role("button", name="Read these").click()
    expect(tab).to_have_url(ONE_CONNECTION)
    front.sync_what_is_due()
    tab.reload()
    expect(tab.locator("#status")).to_contain_text("active")
    context.close()
