//! `atm client HOST:PORT,HOST:PORT`: the next server when one is gone, for a person, an operation and a pipe. Each server has a ledger of its own
//! here, so the balance says which one serves.
use atm_e2e::{Output, Program, Server, Signal, TerminalProgram, atm};
use std::net::{SocketAddr, TcpListener};

/// The menu, as it is shown again.
const MENU: &str = "Deposit, withdraw, balance or exit?";

fn unused_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn list(addresses: [SocketAddr; 2]) -> String {
    addresses.map(|address| address.to_string()).join(",")
}

fn run(addresses: [SocketAddr; 2], words: &[&str]) -> Output {
    Program::run(atm(&[&["client", &list(addresses)], words].concat()), "")
}

/// Two servers, in the order in which the terminal `kiosk-7` tries them.
fn servers() -> [Server; 2] {
    let mut servers = ["100", "200"].map(|balance| Server::start(&["--balance", balance]));
    let addresses = servers.each_ref().map(|server| server.address);
    let orders = [addresses, [addresses[1], addresses[0]]];
    let [done, other_order] = orders.map(|order| run(order, &["balance", "--terminal", "kiosk-7"]));
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    assert_eq!(done.stdout, other_order.stdout, "the name decides, and not the list");
    if done.stdout.contains("$200") {
        servers.reverse();
    }
    servers
}

#[test]
fn a_person_goes_on_at_the_next_server_when_one_is_killed_or_stops() {
    let [first, second] = servers();
    let addresses = [first.address, second.address];
    let other = second.balance() / 100;
    let mut screen = TerminalProgram::start(atm(&["client", &list(addresses), "--terminal", "kiosk-7"]));
    screen.wait_for(">>> ");
    screen.press("deposit 40\r");
    screen.wait_for("Amount deposited: $40.");
    first.program.signal(Signal::KILL);
    first.program.finish();
    screen.wait_for(&format!("reconnected to {}", addresses[1]));
    screen.wait_for_times(MENU, 2);
    // A line that was begun before the menu opened answers no other prompt.
    screen.press("\r");
    screen.press("balance\r");
    screen.wait_for(&format!("Your balance is ${other}."));
    let first = Server::start(&["--listen", &addresses[0].to_string(), "--balance", "300"]);
    // The server that stops says so, and the terminal leaves it at once.
    second.stop();
    screen.wait_for("The server is stopping.");
    screen.wait_for(&format!("reconnected to {}", addresses[0]));
    screen.wait_for_times(MENU, 4);
    screen.press("\r");
    screen.press("withdraw 50\r");
    screen.wait_for("Your balance is $250.");
    screen.press("exit\r");
    let (code, shown) = screen.finish_with_screen();
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(shown.matches("reconnected to ").count(), 2, "{shown}");
    first.stop();
}

#[test]
fn an_operation_and_a_pipe_are_served_by_the_next_server_of_the_list() {
    let server = Server::start(&[]);
    let gone = unused_address();
    let said = format!("no server at {gone}: connected to {}\n", server.address);
    for (name, list) in [
        (None, [gone, server.address]),
        (None, [server.address, gone]),
        (Some("kiosk-7"), [gone, server.address]),
    ] {
        let named = name.map_or(vec![], |name| vec!["--terminal", name]);
        let done = run(list, &[&["balance"], &*named].concat());
        assert_eq!((done.code, done.stdout.as_str()), (Some(0), "Your balance is $100.\n"), "{done:?}");
        let expected = if list[0] == gone { said.as_str() } else { "" };
        // With a name, the one that is there may be its first.
        assert!(done.stderr == expected || (name.is_some() && done.stderr.is_empty()), "{done:?}");
    }
    let addresses = list([gone, server.address]);
    let done = Program::run(atm(&["client", "--connect", &addresses]), "deposit 40\nexit\n");
    assert_eq!((done.code, done.stderr), (Some(0), said), "{}", done.stdout);
    assert_eq!(server.balance(), 14_000);
    server.stop();
}

#[test]
fn without_a_server_each_address_is_named_and_a_wrong_list_is_wrong_usage() {
    let gone = [unused_address(), unused_address()];
    let done = run(gone, &["balance"]);
    let texts =
        gone.map(|address| format!("no server at {address}: start one with: atm serve --listen {address}"));
    assert_eq!((done.code, done.stderr), (Some(1), format!("{}\n", texts.join("; "))));
    for wrong in ["127.0.0.1:1,", ",127.0.0.1:1", "127.0.0.1:1,nowhere", "127.0.0.1:1,,127.0.0.1:2"] {
        for arguments in [["client", wrong, "balance"], ["client", "--connect", wrong]] {
            let done = Program::run(atm(&arguments), "");
            assert_eq!(done.code, Some(2), "{arguments:?}: {done:?}");
            assert!(done.stderr.contains("an address is HOST:PORT"), "{done:?}");
        }
    }
}
