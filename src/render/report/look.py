"""Opens reports in headless Chromium, as a reader would, and says what is wrong.

    python3 look.py report.html [more.html ...] [--axe axe.min.js] [--shots FOLDER]

Each report is opened 390 and 1,440 px wide, dark and light: no message in the console, no request, every figure drawn in
each of its choices, nothing wider than the page, and no serious finding of axe-core where its file is given. Then once
without JavaScript: every part can be read. Needs: `pip install playwright`, Chromium (`CHROMIUM`, or `chromium` on the
PATH), and for --axe the npm package `axe-core`. Exit code 1 when anything is wrong.
"""

import argparse
import os
import pathlib
import shutil
import sys

from playwright.sync_api import sync_playwright

WIDTHS = (390, 1440)
SCHEMES = ("light", "dark")

UNDRAWN = """() => [...document.querySelectorAll('.plot')]
    .filter(plot => !plot.querySelector('.main-svg .plot, .main-svg .cartesianlayer path, .main-svg image'))
    .map(plot => plot.id)"""
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
CUT_OFF = """() => [...document.querySelectorAll('.plot')].flatMap(plot => {
    const frame = plot.getBoundingClientRect();
    return [...plot.querySelectorAll('svg text')].filter(text => text.textContent.trim()).filter(text => {
        const box = text.getBoundingClientRect();
        return box.width && (box.left < frame.left - 2 || box.right > frame.right + 2);
    }).map(text => plot.id + ': ' + text.textContent);
})"""
AXE = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
    .filter(found => ['serious', 'critical'].includes(found.impact))
    .map(found => found.id + ': ' + found.nodes.slice(0, 3).map(node => node.html.slice(0, 120)).join(' | '))"""


def choose_each(page, wrong):
    """Draws each choice of each figure once."""
    for select in page.query_selector_all("select[data-of]"):
        first = select.input_value()
        for value in [option.get_attribute("value") for option in select.query_selector_all("option")]:
            select.select_option(value)
        wrong += [f"undrawn after a choice: {plot}" for plot in page.evaluate(UNDRAWN)]
        select.select_option(first)


def point_at_a_photo(page, wrong):
    """Holds the pointer over a dot of the map of embeddings, where there is one."""
    dots = page.locator("#embedding-map .scatterlayer .point")
    if not dots.count():
        return
    dots.first.scroll_into_view_if_needed()
    frame = dots.first.bounding_box()
    page.mouse.move(frame["x"] + frame["width"] / 2 - 1, frame["y"] + frame["height"] / 2)
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    page.wait_for_timeout(300)
    if not page.locator("#embedding-map .peek svg").is_visible():
        wrong.append("no photo at the pointer over the map of embeddings")


def look(browser, path, width, scheme, axe, shots):
    """Returns what is wrong with one report at one width in one scheme."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, wrong, address = context.new_page(), [], path.resolve().as_uri()
    page.on("console", lambda message: wrong.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("request", lambda request: request.url.startswith(("data:", address)) or wrong.append(f"request: {request.url}"))
    page.goto(address)
    wrong += [f"undrawn: {plot}" for plot in page.evaluate(UNDRAWN)]
    choose_each(page, wrong)
    point_at_a_photo(page, wrong)
    over = page.evaluate(TOO_WIDE)
    wrong += [f"the page is {over} px wider than the window"] if over > 0 else []
    wrong += [f"cut off: {text}" for text in page.evaluate(CUT_OFF)]
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=shots / f"{path.stem}-{width}-{scheme}.png", full_page=True)
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    over = page.evaluate(TOO_WIDE)
    wrong += [f"with every part open the page is {over} px wider than the window"] if over > 0 else []
    if axe:
        page.add_script_tag(path=axe)
        wrong += [f"axe: {finding}" for finding in page.evaluate(AXE)]
    context.close()
    return wrong


def look_without_scripts(browser, path):
    """Returns what cannot be read where JavaScript is off."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.resolve().as_uri())
    tables = page.locator(".table").count()
    empty = [section for section in page.locator("main section").all() if len(section.inner_text()) < 40]
    context.close()
    return ([] if tables else ["no table"]) + [f"an empty part: {section.inner_text()}" for section in empty]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("reports", nargs="+", type=pathlib.Path)
    arguments.add_argument("--axe", help="axe.min.js of the npm package axe-core")
    arguments.add_argument("--shots", type=pathlib.Path, help="folder for screenshots")
    given = arguments.parse_args()
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    bad = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for path in given.reports:
            found = {("off", "no scripts"): look_without_scripts(browser, path)}
            for width in WIDTHS:
                for scheme in SCHEMES:
                    found[width, scheme] = look(browser, path, width, scheme, given.axe, given.shots)
            for (width, scheme), wrong in found.items():
                print(f"{path.name}  {width}  {scheme}: {'ok' if not wrong else ''}")
                for line in dict.fromkeys(wrong):
                    print(f"    {line}")
                bad += len(wrong)
        browser.close()
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
