# The client of the classroom program that atm replaces, with all its habits: one recv is one message, the answer is
# bare text, and nothing says where either ends.
import json
import socket
import sys

HOST = "127.0.0.1"
PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 65432

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
    s.connect((HOST, PORT))
    while True:
        message = json.loads(s.recv(1024).decode())
        print(message["data"])
        if message["input"]:
            answer = input(">>> ")
            s.send(answer.encode())
            if answer == "exit" or answer == "quit":
                break
