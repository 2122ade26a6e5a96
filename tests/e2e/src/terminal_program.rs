//! A program at a pseudo-terminal: a test presses keys and reads the screen.
use crate::{TIMEOUT, program::Program};
use rustix::{
    fs::{Mode, OFlags, fcntl_setfl, open},
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

/// A program whose standard input, output and error are a pseudo-terminal.
#[derive(Debug)]
pub struct TerminalProgram {
    program: Program,
    keys: File,
    /// The slave, whose modes are compared at the end with those at the start.
    terminal: OwnedFd,
    modes_at_start: Termios,
}

impl TerminalProgram {
    /// Starts a program at a new pseudo-terminal.
    pub fn start(mut command: Command) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let name = ptsname(&keys, Vec::new()).unwrap();
        let terminal = open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        // Wide enough that no text that a test waits for is wrapped.
        tcsetwinsize(&terminal, Winsize { ws_row: 50, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let modes_at_start = tcgetattr(&terminal).unwrap();
        let stream = || Stdio::from(terminal.try_clone().unwrap());
        // There is no history of other tests, unless the test has one.
        if command.get_envs().all(|(name, _)| name != "XDG_STATE_HOME") {
            command.env("XDG_STATE_HOME", "/dev/null");
        }
        command.env("TERM", "xterm").stdin(stream()).stdout(stream()).stderr(stream());
        let keys = File::from(keys);
        let program = Program::spawn(command, keys.try_clone().unwrap());
        Self { program, keys, terminal, modes_at_start }
    }

    /// Makes the program's standard streams non-blocking, as another program at the same terminal can.
    pub fn make_non_blocking(&self) {
        fcntl_setfl(&self.terminal, OFlags::RDWR | OFlags::NONBLOCK).unwrap();
    }

    /// Sends the bytes of key presses, once the line editor has put the terminal into raw mode.
    pub fn press(&mut self, keys: impl AsRef<[u8]>) {
        let until = Instant::now() + TIMEOUT;
        while tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ICANON) {
            assert!(Instant::now() < until, "no line editor has started");
            // There is no notification of a terminal's modes: they are polled.
            thread::sleep(Duration::from_millis(2));
        }
        self.keys.write_all(keys.as_ref()).unwrap();
    }

    /// Waits until the program has written `text`.
    pub fn wait_for(&self, text: &str) {
        self.program.wait_for(text);
    }

    /// Waits until the program has written `text` `times` times.
    pub fn wait_for_times(&self, text: &str, times: usize) {
        self.program.wait_for_times(text, times);
    }

    /// Waits until what the program has written is as it must be.
    pub fn wait_until(&self, is_there: impl Fn(&str) -> bool) {
        self.program.wait_until(|shown| is_there(shown).then_some(()));
    }

    /// Does the terminal itself echo what is typed now?
    pub fn echoes(&self) -> bool {
        tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// What the program has written so far.
    pub fn shown(&self) -> String {
        self.program.stdout()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Waits until the program has exited; it must have restored the terminal's modes. Returns the exit code, `None` after a
    /// signal.
    pub fn finish(self) -> Option<i32> {
        self.finish_with_screen().0
    }

    /// The same, with all that the program has written.
    pub fn finish_with_screen(mut self) -> (Option<i32>, String) {
        let code = self.program.wait_for_exit();
        let after = tcgetattr(&self.terminal).unwrap();
        let modes = |termios: &Termios| (termios.local_modes, termios.input_modes, termios.output_modes);
        assert_eq!(modes(&after), modes(&self.modes_at_start), "the modes are not restored");
        assert!(after.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON));
        (code, self.program.stdout())
    }
}
