//! systemd: readiness and stopping by sd_notify(3), and the sample unit `examples/atm.service`.
use atm_e2e::{Program, Server, TIMEOUT, atm, examples};
use std::{fs, os::unix::net::UnixDatagram};
use tempfile::TempDir;

#[test]
fn systemd_is_notified_of_readiness_and_of_stopping() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let receive_from = |socket: &UnixDatagram| {
        let mut bytes = [0; 256];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    };
    let receive = || receive_from(&socket);
    let mut command = atm(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &path).arg("--data").arg(folder.path().join("data"));
    let server = Server::of(Program::start(command));
    assert_eq!(receive(), "READY=1\n");
    assert_eq!(server.balance(), 10_000);
    server.stop();
    assert_eq!(receive(), "STOPPING=1\n");
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 256]).is_err(), "a second notification");
    socket.set_nonblocking(false).unwrap();
    // Stopped by a person's `quit`.
    let mut command = atm(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &path);
    let server = Server::of(Program::start(command));
    assert_eq!(receive(), "READY=1\n");
    server.client().ask("quit");
    assert_eq!(server.program.finish().code, Some(0));
    assert_eq!(receive(), "STOPPING=1\n");
    // An abstract socket (unix(7)).
    #[cfg(target_os = "linux")]
    {
        use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
        let name = format!("atm-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut command = atm(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("NOTIFY_SOCKET", format!("@{name}"));
        let server = Server::of(Program::start(command));
        assert_eq!(receive_from(&socket).trim_end(), "READY=1");
        server.stop();
        assert_eq!(receive_from(&socket).trim_end(), "STOPPING=1");
    }
    // A server that cannot open its ledger is never ready.
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut [0; 256]).is_ok() {}
    fs::write(folder.path().join("data/ledger.db"), "no").unwrap();
    let mut command = atm(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &path).arg("--data").arg(folder.path().join("data"));
    assert_eq!(Program::run(command, "").code, Some(78));
    assert!(socket.recv(&mut [0; 256]).is_err(), "it reported readiness");
}

#[test]
fn the_sample_unit_starts_the_server() {
    let unit = fs::read_to_string(examples().join("atm.service")).unwrap();
    let section = |name: &str| -> Vec<&str> {
        let (_, rest) = unit.split_once(&format!("\n[{name}]\n")).unwrap();
        rest.lines().take_while(|line| !line.starts_with('[')).collect()
    };
    // In any other section systemd ignores it.
    assert!(section("Unit").contains(&"StartLimitIntervalSec=0"));
    assert!(section("Service").contains(&"Type=notify"));
    assert!(section("Service").contains(&"RestartPreventExitStatus=2 78"));
    let start = section("Service").into_iter().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let (program, arguments) = start.split_once(' ').unwrap();
    // systemd looks for it in its own path (systemd.service(5)).
    assert_eq!(program, "atm");
    let folder = TempDir::new().unwrap();
    let sample = examples().join("atm.toml");
    let arguments = arguments
        .replace("/etc/atm.toml", sample.to_str().unwrap())
        .replace("/var/lib/atm", folder.path().to_str().unwrap());
    let mut command = atm(&arguments.split(' ').collect::<Vec<_>>());
    command.args(["--listen", "127.0.0.1:0"]);
    let server = Server::of(Program::start(command));
    assert_eq!(server.balance(), 10_000);
    server.stop();
    assert!(folder.path().join("ledger.db").exists());
}
