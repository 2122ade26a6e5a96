# A terminal for `atm serve` in 15 lines: python3 examples/client.py 127.0.0.1 65432
import json, socket, struct, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    stream = connection.makefile("rb")
    while header := stream.read(4):
        message = json.loads(stream.read(struct.unpack("!I", header)[0]))
        print(message["data"])
        if message["input"]:
            try:
                text = input(">>> ")
            except EOFError:
                text = "exit"
            body = json.dumps({"re": message["seq"], "data": text}).encode()
            connection.sendall(struct.pack("!I", len(body)) + body)
