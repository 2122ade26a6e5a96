# A terminal for `atm serve` in 15 lines: python3 examples/client.py 127.0.0.1 65432
import json, os, re, socket, struct, sys
os.set_blocking(0, True)
sys.stdin.reconfigure(encoding="utf-8-sig", errors="replace")  # the server refuses what was replaced
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    if connection.getsockname() == connection.getpeername():  # where none listens, the system may choose this very port
        sys.exit("connection refused")
    stream = connection.makefile("rb")
    while header := stream.read(4):
        message = json.loads(stream.read(struct.unpack("!I", header)[0]))
        print(re.sub(r"[^\n -~]", lambda c: ascii(c[0])[1:-1], message["data"]), flush=True)
        if message["input"]:
            print(">>> " * sys.stdin.isatty(), end="", flush=True)
            body = json.dumps({"re": message["seq"], "data": sys.stdin.readline() or "exit"}).encode()
            connection.sendall(struct.pack("!I", len(body)) + body)
