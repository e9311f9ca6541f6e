#!/usr/bin/env python3
"""Checks that every relative link of every page of the repository leads to a file, and to a heading that is there."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def prose(text):
    """A page without its blocks of code and its code within lines, where brackets are no links."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    text = re.sub(r"^ {4}.*$", "", text, flags=re.M)
    return re.sub(r"`[^`\n]*`", "", text)


def headings(path):
    """The names by which GitHub links to the headings of a page."""
    names = []
    for heading in re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S), re.M):
        name = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        names.append(f"{name}-{names.count(name)}" if name in names else name)
    return names


def main():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    pages = [ROOT / name for name in listed if name]
    wrong, links = [], 0
    for page in pages:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())):
            if re.match(r"[a-z]+:", target):
                continue
            links += 1
            name, _, heading = target.partition("#")
            place = (page.parent / name).resolve() if name else page
            if not place.exists():
                wrong.append(f"{page.relative_to(ROOT)}: {target} is not there")
            elif heading and heading not in headings(place):
                wrong.append(f"{page.relative_to(ROOT)}: {target} has no such heading")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{links} links of {len(pages)} pages lead somewhere")


if __name__ == "__main__":
    main()
