# A terminal for `atm serve` in 15 lines: python3 examples/client.py 127.0.0.1 65432
import getpass, json, os, re, socket, struct, sys
os.set_blocking(0, True)
sys.stdin.reconfigure(encoding="utf-8-sig", errors="replace")  # the server refuses what was replaced
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    connection.getsockname() != connection.getpeername() or sys.exit("connection refused")  # to the very port chosen for it
    stream = connection.makefile("rb")
    while header := stream.read(4):
        message = json.loads(stream.read(struct.unpack("!I", header)[0]))
        end = "\n" + ">>> " * (message["input"] and sys.stdin.isatty())
        print(re.sub(r"[^\n -~]", lambda c: ascii(c[0])[1:-1], message["data"]), end=end, flush=True)
        if message["input"]:
            line = getpass.getpass("") if message.get("secret") and sys.stdin.isatty() else sys.stdin.readline()
            body = json.dumps({"re": message["seq"], "data": line or "exit"}).encode()
            connection.sendall(struct.pack("!I", len(body)) + body)
