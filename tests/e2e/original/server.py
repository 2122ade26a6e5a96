# The server of the classroom program that atm replaces, with all its habits: one client at a time, one recv is one
# answer, one send is one message, and nothing says where either ends.
import json
import socket
import sys

HOST = "127.0.0.1"
PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 65432

MENU = "Welcome to the ATM. What would you like to do?\n1. Deposit\n2. Withdraw\n3. Balance\n"

balance = 100


def send(conn, data, needs_input):
    conn.send(json.dumps({"input": needs_input, "data": data}).encode())


def ask(conn, data):
    send(conn, data, True)
    return conn.recv(1024).decode()


def deposit(conn):
    global balance
    amount = ask(conn, "How much would you like to deposit?")
    try:
        balance += int(amount)
        send(conn, f"Amount deposited. Your balance is ${balance}", False)
    except ValueError:
        send(conn, "Not a valid amount", False)


def withdraw(conn):
    global balance
    amount = ask(conn, f"Your balance is ${balance}. How much would you like to withdraw?")
    try:
        if int(amount) > balance:
            send(conn, "Insufficient funds", False)
        else:
            balance -= int(amount)
            send(conn, f"Amount withdrawn. Your balance is ${balance}", False)
    except ValueError:
        send(conn, "Not a valid amount", False)


def serve(conn):
    while True:
        choice = ask(conn, MENU)
        if choice == "1":
            deposit(conn)
        elif choice == "2":
            withdraw(conn)
        elif choice == "3":
            send(conn, f"Your balance is ${balance}", False)
        elif choice == "quit":
            return False
        elif choice == "exit" or not choice:
            return True
        else:
            send(conn, "Invalid choice", False)


with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((HOST, PORT))
    s.listen()
    print("listening on port", s.getsockname()[1])
    running = True
    while running:
        conn, addr = s.accept()
        with conn:
            print("connected by", addr)
            running = serve(conn)
