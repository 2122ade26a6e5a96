//! A program at a terminal.
use crate::{TIMEOUT, program::Program};
use rustix::{
    fs::{Mode, OFlags, open},
    process::Signal,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize},
};
use std::{
    fs::File,
    io::Write,
    os::fd::OwnedFd,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A program whose three streams are a terminal, and the keys and the screen of that.
#[derive(Debug)]
pub struct TerminalProgram {
    program: Program,
    keys: File,
    /// The program's end, to see how it left it.
    terminal: OwnedFd,
    before: Termios,
}

impl TerminalProgram {
    /// Starts a program at a terminal of its own.
    pub fn start(mut command: Command) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let name = ptsname(&keys, Vec::new()).unwrap();
        let terminal = open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        // Wide, so that no line that a test waits for is broken.
        tcsetwinsize(&terminal, Winsize { ws_row: 50, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let before = tcgetattr(&terminal).unwrap();
        let stream = || Stdio::from(terminal.try_clone().unwrap());
        command.env("TERM", "xterm").stdin(stream()).stdout(stream()).stderr(stream());
        let keys = File::from(keys);
        let program = Program::spawn(command, keys.try_clone().unwrap());
        Self { program, keys, terminal, before }
    }

    /// Presses keys, as a terminal sends them, once the program edits a line.
    pub fn press(&mut self, keys: &str) {
        let until = Instant::now() + TIMEOUT;
        while tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ICANON) {
            assert!(Instant::now() < until, "nobody edits a line");
            // The system tells nobody that a terminal has changed.
            thread::sleep(Duration::from_millis(2));
        }
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen was sent `text`.
    pub fn wait_for(&self, text: &str) {
        self.program.wait_for(text);
    }

    /// Waits until the screen was sent `text` `times` times.
    pub fn wait_for_times(&self, text: &str, times: usize) {
        self.program.wait_for_times(text, times);
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Waits until the program has ended; the terminal must be as it was before. Returns the exit code.
    pub fn finish(mut self) -> Option<i32> {
        let code = self.program.exit();
        let after = tcgetattr(&self.terminal).unwrap();
        let modes = |termios: &Termios| (termios.local_modes, termios.input_modes, termios.output_modes);
        assert_eq!(modes(&after), modes(&self.before), "the terminal is left as it was found");
        assert!(after.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON));
        code
    }
}
