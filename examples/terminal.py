# A named terminal for `atm serve`, written from core/PROTOCOL.md. It retransmits, reconnects and stores its memory,
# so an operation is done at most once, and its outcome is shown, whatever the link loses and whenever it is killed.
#     python3 examples/terminal.py 127.0.0.1 65432 kiosk-7 kiosk-7.json
# Over TLS: the server's authority, and the terminal's certificate, which names it, with its key.
#     python3 examples/terminal.py localhost 65432 kiosk-7 kiosk-7.json ca.pem kiosk-7.pem kiosk-7.key
import getpass, json, os, re, socket, ssl, struct, sys, time

HOST, PORT, NAME, FILE, *TLS = sys.argv[1:]
context = ssl.create_default_context(cafile=TLS[0]) if TLS else None
if context:
    context.load_cert_chain(*TLS[1:])
FIRST_BACKOFF, MAX_BACKOFF, GIVE_UP = 1.0, 5.0, 60.0  # seconds; GIVE_UP: for one answer or handshake
HELD_BY_CARD = 20.0  # seconds that an answer is retransmitted where access is by card
by_card = False  # a host that serves by card asks for a hello of version 2, which says that a PIN is hidden
state = {"start": 0, "ledger": None, "shown": 0, "pending": None}  # the memory, stored in FILE
connection, received = None, b""
os.set_blocking(0, True)
sys.stdin.reconfigure(encoding="utf-8-sig", errors="replace")  # the host refuses what was replaced


class ConnectionLost(Exception):
    """There is no session on this connection any more."""


def private(path, flags):
    """Creates a file that only its owner can read, and follows no link."""
    if os.path.lexists(path):
        os.unlink(path)
    return os.open(path, flags | os.O_EXCL, 0o600)


def store(**changes):
    state.update(changes)
    with open(FILE + ".new", "w", opener=private) as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(FILE + ".new", FILE)


def connect():
    """Opens a connection. Where no host listens on a port of the ephemeral range, the system may choose that port for this
    socket, and connect it to itself; it is closed without the state TIME-WAIT, in which a host could not listen there."""
    opened = socket.create_connection((HOST, PORT), timeout=5)
    if opened.getsockname() == opened.getpeername():
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        opened.close()
        raise ConnectionRefusedError("connection refused")
    return context.wrap_socket(opened, server_hostname=HOST) if context else opened


def receive(until):
    """Returns the next message, or None at the time `until`."""
    global received
    while len(received) < 4 or len(received) < 4 + struct.unpack("!I", received[:4])[0]:
        connection.settimeout(max(until - time.monotonic(), 0.001))
        try:
            more = connection.recv(4096)
        except TimeoutError:
            return None
        if not more:
            raise ConnectionLost
        received += more
    end = 4 + struct.unpack("!I", received[:4])[0]
    body, received = received[4:end], received[end:]
    return json.loads(body)


def request(message, until, is_reply):
    """Sends a message, retransmits it with backoff, and returns its reply."""
    global by_card
    body, backoff = json.dumps(message).encode(), FIRST_BACKOFF
    while time.monotonic() < until:
        connection.sendall(struct.pack("!I", len(body)) + body)
        next_send, backoff = min(time.monotonic() + backoff, until), min(backoff * 2, MAX_BACKOFF)
        while (reply := receive(next_send)) is not None:
            if "seq" in reply:
                if is_reply(reply):
                    return reply
            elif reply.get("notice") == "who":
                raise ConnectionLost
            elif reply.get("error") == "by-card" and not by_card:
                by_card = True
                raise ConnectionLost
            elif reply.get("error") in ("version", "bad-name", "other-name", "not-enrolled", "by-card"):
                sys.exit(reply["data"])
            elif reply.get("end") and reply.get("start", state["start"]) == state["start"]:
                if reply.get("attempt", attempt) == attempt:
                    sys.exit(reply["data"])
    raise ConnectionLost


def show_text(text, end="\n"):
    """Prints text. What it escapes could control the screen, or hide or reorder the digits of an amount."""
    try:
        print(re.sub(r"[^\n -~]", lambda c: ascii(c[0])[1:-1], text), end=end, flush=True)
    except OSError:  # a closed pipe: the reply was not shown, so the next start shows it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)


def read_line(secret):
    if secret and sys.stdin.isatty():
        try:
            return getpass.getpass(">>> ")
        except EOFError:
            sys.exit()
    show_text(">>> " if sys.stdin.isatty() else "", end="")
    return sys.stdin.readline() or sys.exit()


def show(reply):
    show_text(reply["data"])
    store(shown=reply["seq"], pending=None)
    if reply.get("end"):
        sys.exit()


if os.path.exists(FILE):
    with open(FILE) as file:
        state.update(json.load(file))
store(start=state["start"] + 1)
attempt, text, resume, lost_since = 0, None, False, time.monotonic()  # text: the answer without a reply
while True:
    try:
        connection, received = connect(), b""
        held = HELD_BY_CARD if by_card else GIVE_UP
        if text is not None and time.monotonic() > typed + held:
            text, resume = None, False  # the person may have left: only ask for the outcome
        attempt += 1
        hello = {"hello": 1, "terminal": NAME, "attempt": attempt, "resume": resume}
        hello |= {"hello": 2, "capabilities": 1} if by_card else {}
        hello |= {name: value for name, value in state.items() if value is not None}
        mine = (1, state["start"], attempt)
        is_mine = lambda reply: (reply.get("hello"), reply.get("start"), reply.get("attempt")) == mine
        reply = request(hello, time.monotonic() + GIVE_UP, is_mine)
        known = reply["ledger"] == state["ledger"]
        state["ledger"], resume, lost_since = reply["ledger"], True, None
        again = known and hello["resume"] and reply["seq"] == state["shown"] and reply.get("re", 0) < reply["seq"]
        if not again:  # this reply reports the outcome of the answer; otherwise the host never got it
            if known and reply["seq"] <= state["shown"]:
                outcome = "; the outcome of the last request is unknown" if state["pending"] is not None else ""
                show_text(f"warning: the ATM's ledger was set back to an earlier state{outcome}: check the balance")
            text = None
            show(reply)
        while True:
            if text is None:
                text, typed = read_line(reply.get("secret")), time.monotonic()
                store(pending=reply["seq"])
            follows = lambda reply: reply.get("re") == state["pending"] and reply["seq"] > state["shown"]
            reply = request({"re": state["pending"], "data": text}, typed + held, follows)
            text = None
            show(reply)
    except (ConnectionLost, OSError) as error:
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
            sys.exit(f"no session: {error}")  # a certificate is refused, here or there
        lost_since = lost_since or time.monotonic()
        if time.monotonic() > lost_since + 2 * GIVE_UP:
            sys.exit(f"no session: {error}")
        time.sleep(0.25)
