#!/usr/bin/env python3
"""Documentation check: every command, link and path in the documentation exists, and CI runs every command.

A command is a line of an ```sh block, or a `cargo run|test` or `python3` command in the text. CI runs it if a script in .ci/ has
the same line (apart from `start`, `balance`, redirections and fed input), or a comment `# docs: COMMAND` above the line that runs its short
or automatic form. A comment `# docs, REASON: COMMAND` names a command that CI cannot run.
"""
import pathlib, re, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("core", "host", "firmware-sim", "tests", "docs", "examples", "benchmarks", ".ci", ".cargo", ".github")
faults = []


def documents():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split() if (ROOT / name).exists()]


def commands(text):
    """The commands of a document."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
        yield from (line.strip() for line in block.replace("\\\n", " ").splitlines() if line.strip())
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for command in re.findall(r"`((?:cargo (?:run|test) |python3 )[^`]+)`", prose):
        if command != "cargo run --":
            yield command


def plain(line):
    """A line of a script without what a document does not show."""
    line = re.sub(r"^start ('[^']*'|\S+) ", "", line.strip())
    line = re.sub(r"(\s+(<<<\$'[^']*'|<<<\S+|\d?>\S+|\| balance \d+))+$", "", line)
    return re.sub(r"\s+", " ", line)


def run_by_ci():
    """The commands that the scripts run, and those that a comment accounts for."""
    lines, notes = set(), {}
    for script in sorted((ROOT / ".ci").iterdir()):
        if script.suffix == ".py":
            continue
        pending = []
        for line in re.sub(r"\\\n|(?<=\|)\n", " ", script.read_text()).splitlines():
            if note := re.match(r"\s*# docs(, [^:]*)?: (.*)", line):
                notes[note[2]] = script.name
                if not note[1]:
                    pending.append(note[2])
            elif line.strip() and not line.lstrip().startswith("#"):
                lines.add(plain(line))
                for command in pending:
                    words = [word for word in command.split() if "=" not in word or word.startswith("-")][:2]
                    if " ".join(words) not in line:
                        faults.append(f".ci/{script.name}: the line below `# docs: {command}` does not run it")
                pending = []
    return lines, notes


def check_commands():
    lines, notes = run_by_ci()
    documented = set()
    for path in documents():
        if path.parent.name == "benchmarks":
            continue  # results, with the command that made them then
        for command in commands(path.read_text()):
            command = re.sub(r"\s+", " ", command)
            documented.add(command)
            if command not in lines and command not in notes:
                faults.append(f"{path.relative_to(ROOT)}: CI does not run `{command}`")
    for command, script in notes.items():
        if command not in documented:
            faults.append(f".ci/{script}: no document has `{command}`")


def anchors(path):
    """The anchors of a document's headings."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.lower())) for title in titles}


def check_links():
    for path in documents():
        text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            name, _, anchor = target.partition("#")
            if "://" in target:
                continue
            linked = (path.parent / name).resolve() if name else path
            if not linked.exists():
                faults.append(f"{path.relative_to(ROOT)}: no file {name}")
            elif anchor and linked.suffix == ".md" and anchor not in anchors(linked):
                faults.append(f"{path.relative_to(ROOT)}: no heading {target}")


def is_module(base, name):
    return any(place.exists() for place in (base / name, base / f"{name}.rs"))


def check_paths():
    for path in documents():
        text, base = path.read_text(), None
        for name in re.findall(r"`((?:%s)/[\w./-]+)`" % "|".join(map(re.escape, FOLDERS)), text):
            if not (ROOT / name).exists() and not (path.parent / name).exists():
                faults.append(f"{path.relative_to(ROOT)}: no file {name}")
        # A table whose first heading names a folder lists modules in it.
        for line in text.splitlines():
            if heading := re.match(r"\| \w+ \(`([\w/-]+)`\) \|", line):
                base = ROOT / heading[1]
            elif not line.startswith("|"):
                base = None
            elif base:
                for name in re.findall(r"`([^`]+)`", line.split("|")[1]):
                    if not is_module(base, name):
                        faults.append(f"{path.relative_to(ROOT)}: no module {name} in {base.relative_to(ROOT)}")


check_commands()
check_links()
check_paths()
if faults:
    sys.exit("\n".join(faults))
print("ok: every command of the documentation is run by CI, and every link and path in it exists")
