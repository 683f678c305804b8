"""Draws the picture at the top of the README from a report: a photo with its box, its heat map, the object that is cut out.

    python3 picture.py report.html bird.svg

Takes the best box of the first gallery: photo, map and object as the store has them, in one SVG that needs nothing else.
"""

import pathlib
import re
import sys

STYLE = (
    "text{font:5.6px system-ui,sans-serif;fill:#57606a;text-anchor:middle}"
    "rect{fill:none;vector-effect:non-scaling-stroke}.under{stroke:#fff;stroke-width:5px}"
    ".drawn{stroke:#c2185b;stroke-width:2.5px}.true{stroke:#004fa8;stroke-width:2.5px;stroke-dasharray:5 4}"
)
NAMES = ("the true box (dashed), the found one", "what the network looked at", "the object that is compared")


def main():
    report, out = map(pathlib.Path, sys.argv[1:])
    html = report.read_text()
    gallery = html[html.index('aria-labelledby="boxes"') :]
    card = gallery[gallery.index('<ul class="cards">') :].split("</li>")[0]
    views = re.findall(r'<svg class="photo" viewBox="([^"]*)"[^>]*>(.*?)</svg>', card, re.S)
    if len(views) != len(NAMES):
        sys.exit(f"the first box of {report} has {len(views)} views, not {len(NAMES)}")
    used = set(re.findall(r'href="#(photo-\d+)"', card))
    symbols = [s for s in re.findall(r"<symbol .*?</symbol>", html, re.S) if re.search(r'id="([^"]*)"', s)[1] in used]
    parts = []
    for place, (name, (box, inside)) in enumerate(zip(NAMES, views)):
        left = 112 * place
        parts.append(f'<svg x="{left}" y="0" width="100" height="100" viewBox="{box}">{inside}</svg>')
        parts.append(f'<text x="{left + 50}" y="110">{name}</text>')
    out.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-6 -4 336 120" width="840" role="img">'
        f"<title>A drawn bird, its heat map and its box</title><style>{STYLE}</style>"
        f"<defs>{''.join(symbols)}</defs>{''.join(parts)}</svg>\n"
    )


if __name__ == "__main__":
    main()
