#!/usr/bin/env python3
"""Draws docs/session.svg: a real session of `atm client` whose link is cut before a reply arrives.

It starts `atm serve`, puts a relay on the default port, runs `atm client` on a pseudo-terminal, types, and draws what the
client printed. The relay cuts the connection once, after the server's reply to the withdrawal and before the client has it.
Only the notes on the right are added. `cargo build` first; Python's standard library is all that it needs.

    python3 docs/session.py            writes docs/session.svg
    python3 docs/session.py --check    fails where the picture is not what the client prints today
"""
import os, pathlib, pty, re, select, socket, subprocess, sys, tempfile, threading, time
from xml.sax.saxutils import escape

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/debug/atm"
PICTURE = ROOT / "docs/session.svg"
PORT = 65432  # the client's default, so that the command in the picture is the one that runs
COMMAND = "atm client --terminal kiosk-7 --state kiosk-7.state"
NOTES = {  # the start of a line: the note beside it
    ">>> withdraw 30": "the link is cut: the request arrived, its reply did not",
    "Amount withdrawn": "the same idempotency key: money moved once",
}
PATIENCE = 30.0  # seconds for any text to appear


class Relay:
    """Forwards connections to the server.

    `cut` drops a connection together with the next bytes from the server; `open` lets the next connection in.
    """

    def __init__(self, server):
        self.server, self.cut, self.open = server, threading.Event(), threading.Event()
        self.open.set()
        self.listener = socket.create_server(("127.0.0.1", PORT))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client = self.listener.accept()[0]
            self.open.wait()
            server = socket.create_connection(self.server)
            threading.Thread(target=self.forward, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.forward, args=(server, client, True), daemon=True).start()

    def forward(self, source, target, may_cut):
        try:
            while data := source.recv(65536):
                if may_cut and self.cut.is_set():
                    self.open.clear()
                    self.cut.clear()
                    break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Screen:
    """The lines of a terminal: text, carriage return, line feed, and the escape sequences that a line editor sends."""

    def __init__(self):
        self.lines, self.column, self.rest = [""], 0, ""

    def feed(self, text):
        text, self.rest = self.rest + text, ""
        for token in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\x1b\[?[?0-9;]*$|[^\x1b]", text):
            if token == "\r":
                self.column = 0
            elif token == "\n":
                self.lines.append("")
            elif token.startswith("\x1b"):
                self.escape(token)
            else:
                line = self.lines[-1].ljust(self.column)
                self.lines[-1] = line[: self.column] + token + line[self.column + 1 :]
                self.column += 1

    def escape(self, token):
        count = int("".join(filter(str.isdigit, token)) or 1)
        if not token[-1].isalpha():
            self.rest = token
        elif token[-1] == "C":
            self.column += count
        elif token[-1] == "D":
            self.column = max(0, self.column - count)
        elif token[-1] == "K":
            self.lines[-1] = self.lines[-1][: self.column]


class Client:
    """`atm client` on a pseudo-terminal."""

    def __init__(self, folder):
        self.screen = Screen()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(PROGRAM, COMMAND.split(), os.environ | {"XDG_STATE_HOME": folder})

    def wait_for(self, text, times=1):
        until = time.monotonic() + PATIENCE
        while sum(line.startswith(text) for line in self.screen.lines) < times:
            if not select.select([self.terminal], [], [], max(0.0, until - time.monotonic()))[0]:
                sys.exit(f"the client has not printed {text!r}:\n" + "\n".join(self.screen.lines))
            try:
                self.screen.feed(os.read(self.terminal, 4096).decode())
            except OSError:
                sys.exit(f"the client ended before {text!r}:\n" + "\n".join(self.screen.lines))

    def type(self, text):
        os.write(self.terminal, text.encode() + b"\r")


def session():
    """The lines that the client printed."""
    with tempfile.TemporaryDirectory() as folder:
        serve = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--log", "off"]
        server = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
        try:
            host, port = server.stdout.readline().split()[2].split(":")
            relay = Relay((host, int(port)))
            client = Client(folder)
            client.wait_for(">>> ")
            client.type("deposit 40")
            client.wait_for("Amount deposited")
            client.wait_for(">>> ", 2)
            relay.cut.set()
            client.type("withdraw 30")
            client.wait_for("connection lost")
            client.wait_for(">>> ", 3)
            relay.open.set()
            client.wait_for("Amount withdrawn")
            client.wait_for(">>> ", 5)
            client.type("exit")
            client.wait_for("Goodbye.")
            os.waitpid(client.pid, 0)
        finally:
            server.kill()
            server.wait()
    return "\n".join(line.rstrip() for line in client.screen.lines).rstrip().split("\n")


def drawn(lines):
    """The lines as a picture of a terminal, with its own background: it looks the same on a light and on a dark page."""
    step, char, left, top = 20, 8.4, 24, 62
    width, height = 860, top + step * (len(lines) + 1) + 6
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="A session of atm client">',
        "<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#d5dbe3;"
        "white-space:pre}.typed{fill:#7ee787;font-weight:bold}.dim{fill:#8b949e}.link{fill:#f0b252}"
        ".note{fill:#79c0ff;font-style:italic}</style>",
        f'<rect x="1" y="1" width="{width - 2}" height="{height - 2}" rx="10" fill="#161b22" stroke="#57606a" stroke-width="1.5"/>',
        *(f'<circle cx="{24 + 20 * n}" cy="22" r="6" fill="{color}"/>' for n, color in enumerate(("#ff5f57", "#febc2e", "#28c840"))),
    ]

    def text(line, column, words, kind=""):
        style = f' class="{kind}"' if kind else ""
        x, y = left + char * column, top + step * line
        out.append(f'<text x="{x:.1f}" y="{y}" textLength="{char * len(words):.1f}"{style}>{escape(words)}</text>')

    text(0, 0, "$", "dim")
    text(0, 2, COMMAND, "typed")
    for row, line in enumerate(lines, 1):
        if line.startswith(">>>"):
            text(row, 0, ">>>", "dim")
            if line[4:]:
                text(row, 4, line[4:], "typed")
        else:
            text(row, 0, line, "link" if line.startswith(("connection lost", "reconnected")) else "")
        for start, note in NOTES.items():
            if line.startswith(start):
                text(row, 96 - len(note), note, "note")
    return "\n".join(out + ["</svg>", ""])


def main():
    picture = drawn(session())
    if sys.argv[1:] != ["--check"]:
        PICTURE.write_text(picture)
    elif PICTURE.read_text() != picture:
        sys.exit(f"{PICTURE.relative_to(ROOT)} is not what the client prints: python3 docs/session.py draws it again")


main()
