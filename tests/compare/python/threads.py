# The server that atm replaces (tests/e2e/original/server.py), for many clients: a thread per client and a
# lock around the balance. The rest is unchanged: JSON without frames, one recv is one answer, one send has
# its outcome and another one the next prompt. Nagle's algorithm (RFC 896) delays the second send until the
# client has acknowledged the first; --nodelay prevents it.
import json
import socket
import sys
import threading

MENU = "Welcome to the ATM. What would you like to do?\n1. Deposit\n2. Withdraw\n3. Balance\n"

balance = 100
lock = threading.Lock()


def send(conn, data, needs_input):
    conn.send(json.dumps({"input": needs_input, "data": data}).encode())


def ask(conn, data):
    send(conn, data, True)
    return conn.recv(1024).decode()


def deposit(conn):
    global balance
    amount = ask(conn, "How much would you like to deposit?")
    try:
        with lock:
            balance += int(amount)
            now = balance
        send(conn, f"Amount deposited. Your balance is ${now}", False)
    except ValueError:
        send(conn, "Not a valid amount", False)


def withdraw(conn):
    global balance
    amount = ask(conn, f"Your balance is ${balance}. How much would you like to withdraw?")
    try:
        with lock:
            enough = int(amount) <= balance
            if enough:
                balance -= int(amount)
            now = balance
        send(conn, f"Amount withdrawn. Your balance is ${now}" if enough else "Insufficient funds", False)
    except ValueError:
        send(conn, "Not a valid amount", False)


def serve(conn):
    with conn:
        if "--nodelay" in sys.argv:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            choice = ask(conn, MENU)
            if choice == "1":
                deposit(conn)
            elif choice == "2":
                withdraw(conn)
            elif choice == "3":
                send(conn, f"Your balance is ${balance}", False)
            elif choice == "exit" or not choice:
                return
            else:
                send(conn, "Invalid choice", False)


def quietly(conn):
    try:
        serve(conn)
    except OSError:
        pass  # The client is gone.


with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    s.listen(4096)
    print("listening on", "127.0.0.1:%d" % s.getsockname()[1], "(raw)", flush=True)
    while True:
        conn, addr = s.accept()
        threading.Thread(target=quietly, args=(conn,), daemon=True).start()
