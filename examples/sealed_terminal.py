# A sealed terminal in plain Python, written from core/PROTOCOL.md: keys, bodies, frames and the exactly-once rules.
#     python3 examples/sealed_terminal.py 127.0.0.1 65432 kiosk-7.json
# The file has the key, {"terminal": "kiosk-7", "series": 1, "step": 0, "key": "64 hexadecimal digits"}, and keeps the memory.
# This code takes a time that depends on its secrets: it shows the protocol, and is no terminal for a machine that others use
# too.
import binascii, hmac, json, os, secrets, socket, struct, sys, time
from ascon import xof

BUCKET, TAG, HEADER = 80, 16, 16
REPLY, NOTICE, HELLO, SEALED, WELCOME, EARLY = 2, 3, 4, 5, 6, 7


def next_key(key):
    return xof(key + b"\5", 32)


def prove(key, hello):
    """The tag of a hello, and the seed of what follows."""
    output = xof(key + b"\2" + hello, 48)
    return output[:16], output[16:]


def early_key(seed):
    return xof(seed + b"\3", 32)


def session_keys(seed, header):
    """The keys up and down."""
    output = xof(seed + b"\4" + header, 64)
    return output[:32], output[32:]


def crypt(key, tag, content):
    return bytes(a ^ b for a, b in zip(content, xof(key + b"\6" + tag, BUCKET)))


def seal(key, index, content, header=b""):
    padded = (content + b"\x80").ljust(BUCKET, b"\0")
    assert len(padded) == BUCKET
    tag = xof(key + b"\5" + bytes([index]) + header + padded, TAG)
    return bytes([index]) + header + tag + crypt(key, tag, padded)


def open_sealed(key, body, header=0):
    """The content of a body, or None if it is not authentic under `key`."""
    if len(body) != 1 + header + TAG + BUCKET:
        return None
    tag, end = body[1 + header:][:TAG], 1 + header
    padded = crypt(key, tag, body[end + TAG:])
    if not hmac.compare_digest(tag, xof(key + b"\5" + body[:end] + padded, TAG)):
        return None
    content = padded.rstrip(b"\0")
    return content[:-1] if content.endswith(b"\x80") else None


# Frames: a CRC-32 after the body, COBS, and a zero at either end.
def frame(body):
    body += struct.pack("<I", binascii.crc32(body))
    blocks = []
    for block in (body + b"\0").split(b"\0")[:-1]:
        while len(block) >= 254:
            blocks.append(b"\xff" + block[:254])
            block = block[254:]
        blocks.append(bytes([len(block) + 1]) + block)
    return b"\0" + b"".join(blocks) + b"\0"


def unframe(data):
    """The body of a frame without its zeros, or None if it is damaged."""
    body = b""
    while data:
        code, block, data = data[0], data[1:data[0]], data[data[0]:]
        if len(block) != code - 1:
            return None
        body += block + (b"\0" if code < 255 and data else b"")
    if len(body) < 5 or struct.pack("<I", binascii.crc32(body[:-4])) != body[-4:]:
        return None
    return body[:-4]


# The postcard format.
def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def option(number):
    return b"\0" if number is None else b"\1" + varint(number)


def hello_body(name, start, attempt, ledger, shown, pending, resume, series, step, salt):
    """A sealed hello without its tag."""
    fields = bytes([HELLO, 2, 1, len(name)]) + name.encode() + varint(start) + varint(attempt)
    fields += option(ledger) + varint(shown) + option(pending) + bytes([resume])
    return fields + b"\0" + varint(series) + varint(step) + varint(salt) + b"\0"


def answer_body(re, text):
    return b"\1" + option(re) + varint(len(text.encode())) + text.encode()


class Reader:
    def __init__(self, data):
        self.data = data

    def byte(self):
        byte, self.data = self.data[0], self.data[1:]
        return byte

    def number(self):
        number = shift = 0
        while (byte := self.byte()) >= 0x80:
            number, shift = number | (byte & 0x7F) << shift, shift + 7
        return number | byte << shift

    def option(self):
        return self.number() if self.byte() else None

    def money(self):
        cents = self.number()
        return f"${cents // 100}" + (f".{cents % 100:02}" if cents % 100 else "")

    def outcome(self):
        kind = self.byte()
        if kind == 0:
            receipt = self.byte()
            if receipt == 0:
                return f"Your balance is {self.money()}."
            done = ("deposited", "withdrawn")[receipt - 1]
            return f"Amount {done}: {self.money()}. Your balance is {self.money()}."
        if kind == 1:
            refusal = self.byte()
            if refusal < 2:
                why = ("There is not enough money", "The account cannot hold that much more")[refusal]
                return f"{why}: your balance is {self.money()}."
            return ("Refused: the number was used for another request.", "Refused: no new terminals.")[refusal - 2]
        return ("Your request was not done. No money was moved.", "The outcome is unknown: check the balance.")[kind - 2]

    def screen(self):
        """The text, and whether it is a prompt."""
        kind = self.byte()
        if kind == 2:
            return f"Balance: {self.money()}. How much would you like to withdraw?", True
        if kind == 3:
            return self.outcome(), False
        if kind == 8:
            return f"That is over the limit of {self.money()}.", False
        return {
            0: "Welcome to the ATM.\n1. Deposit\n2. Withdraw\n3. Balance", 1: "How much would you like to deposit?",
            4: "About your earlier request:", 5: "That is not a valid choice.", 6: "That is not an amount.",
            7: "The amount must be more than zero.", 9: "That answer is too long.", 10: "Your balance is $0.",
            11: "You may not stop the server.", 12: "Goodbye.", 13: "The server is stopping. Goodbye.",
        }[kind], kind < 2


NOTICES = ["working", "who", "taken-over", "name-in-use", "busy", "idle", "stopping", "error", "out-of-service"]


def read(content):
    """A reply or a notice as a dictionary."""
    reader = Reader(content)
    if reader.byte() == NOTICE:
        return {"notice": NOTICES[reader.byte()], "fields": list(reader.data)}
    message = {"seq": reader.number(), "re": reader.option(), "ledger": None}
    if reader.byte():
        message |= {"ledger": reader.option(), "start": reader.number(), "attempt": reader.number()}
    screens = [reader.screen() for _ in range(reader.byte())]
    return message | {"text": "\n\n".join(text for text, _ in screens), "prompt": screens[-1][1]}


FIRST_BACKOFF, MAX_BACKOFF, GIVE_UP = 1.0, 5.0, 60.0  # seconds; GIVE_UP: for one answer or handshake


class ConnectionLost(Exception):
    """There is no session on this connection any more."""


class SayHello(Exception):
    """The host has lost the keys."""


def private(path, flags):
    """Creates a file that only its owner can read, and follows no link."""
    if os.path.lexists(path):
        os.unlink(path)
    return os.open(path, flags | os.O_EXCL, 0o600)


class Terminal:
    def __init__(self, address, file):
        self.address, self.file, self.connection, self.received = address, file, None, b""
        self.state = {"start": 0, "ledger": None, "shown": 0, "pending": None, "welcomed": False}
        with open(file) as opened:
            self.state |= json.load(opened)
        if self.state["welcomed"]:  # what was typed before this start stays secret, whatever becomes of this machine
            key = next_key(bytes.fromhex(self.state["key"]))
            self.state |= {"key": key.hex(), "step": self.state["step"] + 1}
        self.store(start=self.state["start"] + 1, welcomed=False)
        self.attempt, self.salt = 0, secrets.randbits(64)
        self.seed = self.header = self.up = self.down = None  # the seed of the hello; header and keys of the session
        self.no_who_until = 0.0
        self.text, self.typed, self.resume = None, 0.0, False  # the answer without a reply

    def store(self, **changes):
        self.state.update(changes)
        with open(self.file + ".new", "w", opener=private) as file:
            json.dump(self.state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.file + ".new", self.file)

    def hello(self, resume):
        """The next hello's body. The keys of the session before it are dropped."""
        self.attempt += 1
        memory = [self.state[field] for field in ("ledger", "shown", "pending")]
        claim = self.state["series"], self.state["step"], self.salt
        body = hello_body(self.state["terminal"], self.state["start"], self.attempt, *memory, resume, *claim)
        tag, self.seed = prove(bytes.fromhex(self.state["key"]), body)
        self.header = self.up = self.down = None
        return body + tag

    def open(self, body):
        """The message in a body that is authentic; None meets with silence."""
        if body[0] == WELCOME:
            header = body[1:1 + HEADER]
            up, down = (self.up, self.down) if header == self.header else session_keys(self.seed, header)
            if self.header not in (None, header) or (content := open_sealed(down, body, HEADER)) is None:
                return None
            self.header, self.up, self.down = header, up, down  # fixed until the next hello
            if not self.state["welcomed"]:
                self.store(welcomed=True)
        elif body[0] == SEALED and self.down is not None:
            content = open_sealed(self.down, body)
        elif body[0] == EARLY and self.down is None:
            content = open_sealed(early_key(self.seed), body)
        elif body == bytes([NOTICE, 1]) and self.down is not None and time.monotonic() >= self.no_who_until:
            self.no_who_until = time.monotonic() + FIRST_BACKOFF  # any peer can send a `who` in clear
            raise SayHello
        else:
            return None
        return None if not content else read(content)

    def receive(self, until):
        """Returns the next message that is authentic, or None at the time `until`."""
        while True:
            while b"\0" in self.received:
                data, self.received = self.received.split(b"\0", 1)
                body = unframe(data)
                if body and (message := self.open(body)) is not None:
                    return message
            self.connection.settimeout(max(until - time.monotonic(), 0.001))
            try:
                more = self.connection.recv(4096)
            except TimeoutError:
                return None
            if not more:
                raise ConnectionLost
            self.received += more

    def request(self, body, until, is_reply):
        """Sends a body, retransmits it with backoff, and returns its reply."""
        backoff = FIRST_BACKOFF
        while time.monotonic() < until:
            self.connection.sendall(frame(body))
            next_send, backoff = min(time.monotonic() + backoff, until), min(backoff * 2, MAX_BACKOFF)
            while (reply := self.receive(next_send)) is not None:
                if "seq" in reply:
                    if is_reply(reply):
                        return reply
                elif reply["notice"] == "who":
                    raise SayHello
                elif reply["notice"] not in ("working", "error"):
                    sys.exit(reply["notice"])
        raise ConnectionLost

    def show(self, reply):
        print(reply["text"], flush=True)
        self.store(shown=reply["seq"], pending=None)
        if not reply["prompt"]:
            sys.exit()

    def session(self, resume):
        """A hello and what follows, until an exception ends it."""
        is_mine = lambda reply: reply.get("start") == self.state["start"] and reply.get("attempt") == self.attempt
        reply = self.request(self.hello(resume), time.monotonic() + GIVE_UP, is_mine)
        known, self.state["ledger"] = reply["ledger"] == self.state["ledger"], reply["ledger"]
        again = known and resume and reply["seq"] == self.state["shown"] and (reply["re"] or 0) < reply["seq"]
        if not again:  # this reply reports the outcome of the answer; otherwise the host never got it
            if known and reply["seq"] <= self.state["shown"]:
                print("warning: the ATM's ledger was set back to an earlier state: check the balance")
            self.text = None
            self.show(reply)
        while True:
            if self.text is None:
                self.text, self.typed = input(">>> "), time.monotonic()
                self.store(pending=reply["seq"])
            pending = self.state["pending"]
            follows = lambda reply: reply["re"] == pending and reply["seq"] > self.state["shown"]
            sealed = seal(self.up, SEALED, answer_body(pending, self.text))
            reply = self.request(sealed, self.typed + GIVE_UP, follows)
            self.text = None
            self.show(reply)

    def run(self):
        tries = 0
        while tries < 120:
            try:
                if self.connection is None:
                    self.connection, self.received = socket.create_connection(self.address, timeout=5), b""
                if self.text is not None and time.monotonic() > self.typed + GIVE_UP:
                    self.text, self.resume = None, False  # the person may have left: only ask for the outcome
                self.session(self.resume)
            except SayHello:
                self.resume, tries = True, 0
            except (ConnectionLost, OSError):
                if self.down is not None:  # there was a session
                    self.resume, tries = True, 0
                if self.connection is not None:
                    self.connection.close()
                self.connection, tries = None, tries + 1
                time.sleep(0.25)
            except EOFError:
                sys.exit()
        sys.exit("no session")


def seal_lines():
    """Seals what a test gives: a line for each body, with key, index, header and content in hexadecimal, `-` for none.
    For a hello the tag and all keys: of the next step, of notices before a welcome, up and down."""
    for line in sys.stdin:
        key, index, header, content = (bytes.fromhex(field.strip("-")) for field in line.split())
        if index[0] == HELLO:
            tag, seed = prove(key, index + content)
            print(b"".join((tag, next_key(key), early_key(seed), *session_keys(seed, header))).hex())
        else:
            print(seal(key, index[0], content, header).hex())


if __name__ == "__main__":
    if sys.argv[1:] == ["--seal"]:
        seal_lines()
    else:
        Terminal((sys.argv[1], int(sys.argv[2])), sys.argv[3]).run()
