# A terminal with a name and a memory for `atm serve`, written from core/PROTOCOL.md: whatever the line does and whenever
# this program is killed, money moves once and it is told.
#     python3 examples/terminal.py 127.0.0.1 65432 kiosk-7 kiosk-7.json
import json, os, socket, struct, sys, time

HOST, PORT, NAME, FILE = sys.argv[1:]
FIRST, MOST, PATIENCE = 1.0, 5.0, 60.0  # seconds: between two repeats, each twice the one before; with one answer
state = {"start": 0, "ledger": None, "shown": 0, "pending": None}  # what must not be forgotten
line, received = None, b""


class Lost(Exception):
    """There is no session on this connection (any more)."""


def store(**changes):
    state.update(changes)
    with open(FILE + ".new", "w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(FILE + ".new", FILE)


def receive(until):
    """The next message; None once the time has come."""
    global received
    while len(received) < 4 or len(received) < 4 + struct.unpack("!I", received[:4])[0]:
        line.settimeout(max(until - time.monotonic(), 0.001))
        try:
            more = line.recv(4096)
        except TimeoutError:
            return None
        if not more:
            raise Lost
        received += more
    end = 4 + struct.unpack("!I", received[:4])[0]
    body, received = received[4:end], received[end:]
    return json.loads(body)


def ask(message, until, is_reply):
    """Sends a message again and again until its reply comes."""
    body, pause = json.dumps(message).encode(), FIRST
    while time.monotonic() < until:
        line.sendall(struct.pack("!I", len(body)) + body)
        again, pause = min(time.monotonic() + pause, until), min(pause * 2, MOST)
        while (told := receive(again)) is not None:
            if "seq" in told:
                if is_reply(told):
                    return told
            elif told.get("notice") == "who":
                raise Lost
            elif told.get("error") in ("version", "bad-name"):
                sys.exit(told["data"])
            elif told.get("end") and told.get("start", state["start"]) == state["start"]:
                if told.get("attempt", attempt) == attempt:
                    sys.exit(told["data"])
    raise Lost


def show(reply):
    print(reply["data"], flush=True)
    store(shown=reply["seq"], pending=None)
    if reply.get("end"):
        sys.exit()


if os.path.exists(FILE):
    with open(FILE) as file:
        state.update(json.load(file))
store(start=state["start"] + 1)
attempt, text, present, lost = 0, None, False, time.monotonic()  # present: is the person of the last welcome still there?
while True:
    try:
        line, received = socket.create_connection((HOST, PORT), timeout=5), b""
        if text is not None and time.monotonic() > typed + PATIENCE:
            text, present = None, False  # whoever typed it is gone: the hello only asks what became of it
        attempt += 1
        hello = {"hello": 1, "terminal": NAME, "attempt": attempt, "resume": present}
        hello |= {name: value for name, value in state.items() if value is not None}
        mine = (1, state["start"], attempt)
        is_mine = lambda told: (told.get("hello"), told.get("start"), told.get("attempt")) == mine
        reply = ask(hello, time.monotonic() + PATIENCE, is_mine)
        known = reply["ledger"] == state["ledger"]
        state["ledger"], present, lost = reply["ledger"], True, None
        if text is not None and not (known and reply["seq"] == state["pending"]):
            text = None  # its reply was lost, or it was not done: this tells; else it has not come, and is sent again
        if text is None and not (known and reply["seq"] <= state["shown"]):
            show(reply)
        while True:
            if text is None:
                text, typed = input(">>> "), time.monotonic()
                store(pending=reply["seq"])
            follows = lambda told: told.get("re") == state["pending"] and told["seq"] > state["shown"]
            reply = ask({"re": state["pending"], "data": text}, typed + PATIENCE, follows)
            text = None
            show(reply)
    except EOFError:
        sys.exit()
    except (Lost, OSError) as error:
        lost = lost or time.monotonic()
        if time.monotonic() > lost + 2 * PATIENCE:
            sys.exit(f"no session: {error}")
        time.sleep(0.25)
