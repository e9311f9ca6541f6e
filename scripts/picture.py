#!/usr/bin/env python3
"""Draws docs/pictures/demo.svg from what the demo prints: scripts/demo.sh 2>/dev/null | scripts/picture.py > FILE.

The picture is text (it can be searched, read aloud and copied), follows the reader's light or dark colours, and names no machine. Lines
that do not fit are cut, and parts that repeat are left out; each cut is marked with three dots.
"""
import html
import re
import sys

COLUMNS = 118
CELL = 7.25  # the width of one character at this size, in pixels
LINE = 17
FONT = 12
MARGIN = 20
BAR = 34
KEPT = {  # the lines kept under each heading; the others become one line of dots
    "1": r".",
    "2": r"^\$|PORTRAIT|words,|to read|█{20}",
    "3": r"^\$|AFTER|Submitted|bids|Bidding closed|Attempt 1|starts the module|A valid receipt|Settled|Anchored as",
    "4": r"^\$|CHECK|receipt has|receipt signed|price follows|dates|outputs present|one after|same (outputs|standard|log|fuel)|holds|repeated",
    "5": r"^\$|take key|lamp|turns",
    "6": r"^\$|^status|^output|^STAGE|^count|^spread|every item|final outputs|holds",
    "7": r"^\$|mallory|checked by|holds",
    "What": r".",
}
BARS_MAX = 3
TITLE = "The demo of Planetary Mesh in a terminal"
DESCRIPTION = (
    "Five nodes that have never met start. One asks for a portrait of a text at a price, three bid, the cheapest runs the job and is paid "
    "by metered fuel. An auditor that knows only the CID of the signed receipt verifies every link and runs the job again, with the "
    "same outputs and the same fuel."
)
STYLE = """
  .page { fill: #ffffff; stroke: #d0d7de } .bar { fill: #f6f8fa } .text { fill: #1f2328 } .dim { fill: #656d76 }
  .heading { fill: #0550ae; font-weight: bold } .command { fill: #8250df } .good { fill: #1a7f37 } .bad { fill: #b35900 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #30363d } .bar { fill: #161b22 } .text { fill: #e6edf3 } .dim { fill: #8b949e }
    .heading { fill: #79c0ff } .command { fill: #d2a8ff } .good { fill: #56d364 } .bad { fill: #ffa657 }
  }
  text { font: %dpx ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre }
""" % FONT


def sections(lines):
    """The output by its headings: (key, heading, lines)."""
    found = []
    for line in lines:
        heading = re.match(r"(\d)\. |(What) happened", line)
        if heading:
            found.append((heading[1] or heading[2], line, []))
        elif found and line.strip():
            found[-1][2].append(line)
    return found


def excerpt(key, lines):
    """The lines of a section that are shown."""
    pattern, bars, shown = KEPT[key], 0, []
    for line in lines:
        wanted = re.search(pattern, line)
        if wanted and re.search("█{3}", line):
            bars += 1
            wanted = bars <= BARS_MAX
        if wanted:
            shown.append(line)
        elif shown and shown[-1] != "  ⋮" and not re.match(r" *$", line):
            shown.append("  ⋮")
    return shown


def kind(line):
    """The class that a line is drawn in."""
    if re.match(r"\d\. |What happened", line):
        return "heading"
    if line.startswith("$ "):
        return "command"
    if re.match(r"ok |The receipt holds|The run was repeated", line):
        return "good"
    if ": refused" in line:
        return "bad"
    return "dim" if re.match(r" *(⋮|AFTER|CHECK)", line) else "text"


def main():
    lines = [line.rstrip("\n") for line in sys.stdin]
    drawn = []
    for key, heading, body in sections(lines):
        shown = excerpt(key, body)
        if not shown:
            sys.exit(f"picture: nothing is left under {heading!r}; its pattern is out of date")
        drawn += [heading, *shown, ""]
    if len({line[:2] for line in drawn if re.match(r"\d\. ", line)}) != 5:
        sys.exit("picture: this is not the whole output of the demo")
    drawn.pop()
    width = round(COLUMNS * CELL + 2 * MARGIN)
    height = BAR + len(drawn) * LINE + 2 * MARGIN
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img"')
    print('  aria-labelledby="title description">')
    print(f'<title id="title">{TITLE}</title>\n<desc id="description">{DESCRIPTION}</desc>\n<style>{STYLE}</style>')
    print(f'<rect class="page" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>')
    print(f'<path class="bar" d="M1 {BAR}V9a8 8 0 0 1 8-8H{width - 9}a8 8 0 0 1 8 8V{BAR}z"/>')
    print(f'<text class="dim" x="{MARGIN}" y="22">$ make demo</text>')
    y = BAR + MARGIN
    for line in drawn:
        cut = line if len(line) <= COLUMNS else line[: COLUMNS - 1] + "…"
        if cut:
            print(f'<text class="{kind(line)}" x="{MARGIN}" y="{y}" xml:space="preserve">{html.escape(cut, quote=False)}</text>')
        y += LINE
    print("</svg>")


main()
