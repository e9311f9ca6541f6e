#!/usr/bin/env python3
"""Writes man pages from what the program says of its commands.

    mesh --experimental-dump-help | packaging/man.py --version 0.1.0 --epoch 1700000000 FOLDER

mesh.1 lists the commands; each command has a page of its own (mesh-run.1), and a group one for all of its commands
(mesh-receipt.1). Fails when a command or an option would stand on no page.
"""
import argparse
import json
import pathlib
import sys
import time


def escaped(text):
    """Text as roff takes it literally, wherever in a line it stands."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\\&" + text if text.startswith(".") else text


def paragraphs(text):
    """Prose in paragraphs. A title in capitals with a colon becomes a section, and lines with an indent stay lines."""
    lines, literal = [], False
    for line in text.split("\n"):
        if literal and not line.startswith(" "):
            lines.append(".fi")
            literal = False
        if not line:
            lines.append(".PP")
        elif line.endswith(":") and line[:-1].isupper():
            lines.append(f".SH {line[:-1]}")
        elif line.startswith(" ") and not literal:
            lines += [".nf", escaped(line)]
            literal = True
        else:
            lines.append(escaped(line))
    if literal:
        lines.append(".fi")
    # A section begins a paragraph itself.
    def begins(at):
        return 0 <= at < len(lines) and lines[at].startswith((".SH", ".PP"))

    return [line for at, line in enumerate(lines) if line != ".PP" or not (begins(at - 1) or begins(at + 1))]


def named(argument):
    """How an option or argument is written, such as `-h, --help` or `--home <home>`."""
    value = f"<{argument['valueName']}>"
    if argument["kind"] == "positional":
        return value + (" ..." if argument["isRepeating"] else "")
    names = [("--" if name["kind"] == "long" else "-") + name["name"] for name in argument["names"]]
    return ", ".join(names) + (f" {value}" if argument["kind"] == "option" else "")


def shown(command):
    return [argument for argument in command.get("arguments", []) if argument.get("shouldDisplay", True)]


def synopsis(name, command):
    words = [f".B {escaped(name)}"]
    if [argument for argument in shown(command) if argument["kind"] != "positional"]:
        words.append(r"[\fIoptions\fR]")
    for argument in shown(command):
        if argument["kind"] != "positional":
            continue
        value = rf"\fI{escaped(argument['valueName'])}\fR" + (" ..." if argument["isRepeating"] else "")
        words.append(f"[{value}]" if argument["isOptional"] else value)
    if command.get("subcommands"):
        words.append(r"\fIcommand\fR")
    return words


def options(command, heading):
    """The arguments of a command, below the titles that its help has for them."""
    lines, title = [], None
    order = sorted(shown(command), key=lambda a: (a["kind"] != "positional", a.get("sectionTitle") is not None))
    for argument in order:
        section = "ARGUMENTS" if argument["kind"] == "positional" else argument.get("sectionTitle", "OPTIONS")
        if section != title:
            title = section
            if heading == ".SH":
                lines.append(f".SH {escaped(title.upper())}")
            else:
                lines += [".PP", f"{escaped(title.capitalize())}:"]
        lines += [".TP", f".B {escaped(named(argument))}"]
        text = argument.get("abstract", "")
        if argument.get("defaultValue"):
            text += f" (default: {argument['defaultValue']})"
        lines.append(escaped(text) if text else r"\&")
        if argument.get("discussion"):
            lines += [".IP"] + paragraphs(argument["discussion"])
    return lines


def page(name, command, opts):
    """The page of a command, with the commands of a group below it."""
    title = name.replace(" ", "-")
    date = time.strftime("%Y-%m-%d", time.gmtime(opts.epoch))
    lines = [
        f'.TH "{escaped(title.upper())}" 1 "{date}" "mesh {escaped(opts.version)}" "Planetary Mesh"',
        ".SH NAME", f"{escaped(title)} \\- {escaped(command['abstract'].rstrip('.'))}",
        ".SH SYNOPSIS"] + synopsis(name, command)
    if command.get("discussion"):
        lines += [".SH DESCRIPTION"] + paragraphs(command["discussion"])
    children = [child for child in command.get("subcommands", []) if child.get("shouldDisplay", True)]
    if children:
        lines.append(".SH COMMANDS")
    for child in children:
        own = f"{name} {child['commandName']}"
        if name == "mesh":
            lines += [".TP", f".B {escaped(own)}", escaped(child["abstract"])]
            continue
        lines += [f'.SS "{escaped(own)}"'] + synopsis(own, child)
        lines += [".PP", escaped(child["abstract"])]
        if child.get("discussion"):
            lines += [".PP"] + paragraphs(child["discussion"])
        lines += options(child, ".SS")
    if name == "mesh" or not children:
        lines += options(command, ".SH")
    others = [f"mesh-{child['commandName']}" for child in children if child["commandName"] != "help"] \
        if name == "mesh" else ["mesh"]
    lines += [".SH SEE ALSO", ",\n".join(f".BR {escaped(other)} (1)" for other in others).replace(",\n", " ,\n")]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", required=True)
    parser.add_argument("--epoch", type=int, required=True, help="the date on the pages, in seconds since 1970")
    parser.add_argument("folder", type=pathlib.Path)
    opts = parser.parse_args()
    root = json.load(sys.stdin)["command"]
    opts.folder.mkdir(parents=True, exist_ok=True)
    pages = {"mesh": page("mesh", root, opts)}
    for command in root["subcommands"]:
        if command["commandName"] != "help" and command.get("shouldDisplay", True):
            name = f"mesh {command['commandName']}"
            pages[name] = page(name, command, opts)
    missing = []

    def check(command, name, text):
        if f"{escaped(name)}\n" not in text.replace('"', ""):
            missing.append(name)
        missing.extend(f"{name} {named(a)}" for a in shown(command)
                       if f".B {escaped(named(a))}\n" not in text and not command.get("subcommands"))

    for name, text in pages.items():
        command = root if name == "mesh" else next(
            c for c in root["subcommands"] if c["commandName"] == name.split()[1])
        check(command, name, text)
        for child in command.get("subcommands", []):
            if name != "mesh" and child.get("shouldDisplay", True):
                check(child, f"{name} {child['commandName']}", text)
    if missing:
        sys.exit("man.py: these stand on no page: " + ", ".join(missing))
    for name, text in pages.items():
        (opts.folder / f"{name.replace(' ', '-')}.1").write_text(text)


main()
