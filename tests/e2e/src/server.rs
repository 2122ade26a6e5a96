//! Running servers: `atm serve` and `firmware-sim`, where they can be reached, stopped in order.
use crate::{Client, Program, Signal, atm, firmware_sim};
use rustix::fs::OFlags;
use std::{
    fs::{File, OpenOptions},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
};

/// A running `atm serve`.
#[derive(Debug)]
pub struct Server {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// The program.
    pub program: Program,
}

impl Server {
    /// Starts a server on a free port of the loopback address, unless the arguments have a `--listen`.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = atm(&["serve"]);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(arguments);
        Self::of(Program::start(command))
    }

    /// A server that was just started: reads its address from its first line.
    pub fn of(program: Program) -> Self {
        let address = program.wait_until(|text| {
            let line = first_line(text)?;
            Some(
                line.split(' ')
                    .nth(2)
                    .and_then(|word| word.parse().ok())
                    .expect("its first line names its address"),
            )
        });
        Self { address, program }
    }

    /// Connects a client of the `json` wire and reads the greeting.
    pub fn client(&self) -> Client {
        Client::greeted(self.address)
    }

    /// The balance in minor units, asked for by a new client of the `json` wire.
    pub fn balance(&self) -> u64 {
        self.client().balance()
    }

    /// Stops it with SIGTERM; it must exit with code 0, without a panic. It waits up to 2 s for connected clients: drop
    /// these first.
    pub fn stop(self) {
        self.finish();
    }

    /// Stops it as [`stop`](Self::stop) does, and returns its log.
    pub fn finish(self) -> String {
        self.program.signal(Signal::TERM);
        let done = self.program.finish();
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(!done.stderr.contains("panicked"), "{done:?}");
        done.stderr
    }
}

/// A running `firmware-sim`, behind a pseudo-terminal.
#[derive(Debug)]
pub struct FirmwareSim {
    /// The path of the serial port that clients open.
    pub path: String,
    /// The program.
    pub program: Program,
}

impl FirmwareSim {
    /// Starts `firmware-sim`.
    pub fn start(arguments: &[&str]) -> Self {
        let program = Program::start(firmware_sim(arguments));
        let path = program.wait_until(|text| {
            let line = first_line(text)?;
            Some(line.split(' ').nth(2).expect("its first line names its port").to_owned())
        });
        Self { path, program }
    }

    /// Opens its port to exchange raw bytes, not as the test's controlling terminal.
    pub fn open(&self) -> File {
        let no_controlling_terminal = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(no_controlling_terminal)
            .open(&self.path)
            .unwrap()
    }
}

/// The first line, once it is complete.
fn first_line(text: &str) -> Option<&str> {
    text.split_once('\n').map(|(line, _)| line)
}
