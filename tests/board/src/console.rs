//! A person at the console of a terminal's image: types keys, and waits for what is shown.
use crate::{Board, TIMEOUT};
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
};

/// The console's serial port, and what was shown on it.
pub(crate) struct TerminalConsole {
    serial_port: UnixStream,
    /// What was shown since the last keys.
    shown: String,
    /// What was shown before them.
    before: String,
}

impl TerminalConsole {
    /// The console of a board, which is its second serial port.
    pub(crate) fn of(board: &Board) -> Self {
        let serial_port = board.serial_port();
        serial_port.set_nonblocking(false).unwrap();
        serial_port.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self { serial_port, shown: String::new(), before: String::new() }
    }

    /// Waits until the console has shown `text` and waits for input after it; returns what was shown since the last keys.
    pub(crate) fn wait_for(&mut self, text: &str) -> &str {
        const ENDS: [&str; 2] = ["\r\n> ", "Press Enter to begin.\r\n"];
        self.wait_until(|shown| shown.contains(text) && ENDS.iter().any(|end| shown.ends_with(end)))
    }

    /// Waits until what was shown since the last keys is as it should be; returns it.
    pub(crate) fn wait_until(&mut self, is_right: impl Fn(&str) -> bool) -> &str {
        while !is_right(&self.shown) {
            let mut chunk = [0; 512];
            let count = self
                .serial_port
                .read(&mut chunk)
                .unwrap_or_else(|error| panic!("{error}, after {:?}", self.shown));
            assert!(count > 0, "the console is closed, after {:?}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
        &self.shown
    }

    /// Types keys, and does not wait. Only what is shown from now on counts.
    pub(crate) fn send(&mut self, keys: &str) {
        self.before += &std::mem::take(&mut self.shown);
        self.serial_port.write_all(keys.as_bytes()).unwrap();
    }

    /// Types keys, and waits as [`wait_for`](Self::wait_for) does.
    pub(crate) fn type_in(&mut self, keys: &str, shown: &str) -> &str {
        self.send(keys);
        self.wait_for(shown)
    }

    /// All that was shown, up to the end of the output if the board has no power any more.
    pub(crate) fn into_transcript(mut self) -> String {
        // What a socket still has after the power was cut.
        let mut rest = Vec::new();
        let _ = self.serial_port.set_nonblocking(true);
        let _ = self.serial_port.read_to_end(&mut rest);
        self.before + &self.shown + &String::from_utf8_lossy(&rest)
    }
}
