//! A null-modem cable between two programs: two pseudo-terminals (pty(7)), the bytes of each copied to the other.
use rustix::pty;
use std::{
    fs::{File, OpenOptions},
    io, thread,
};

/// Two serial ports, connected to each other.
#[derive(Debug)]
pub struct SerialPair {
    /// The port at one end.
    pub near: String,
    /// The port at the other end.
    pub far: String,
    /// Both ports stay open, so that they do not hang up between two programs.
    _open: [File; 2],
}

impl SerialPair {
    /// Creates the pair. The threads that copy the bytes run until the process ends.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let ((a, near), (b, far)) = (open_pty(), open_pty());
        let open = [&near, &far].map(|path| OpenOptions::new().read(true).open(path).unwrap());
        for (mut from, mut to) in [(a.try_clone().unwrap(), b.try_clone().unwrap()), (b, a)] {
            thread::spawn(move || io::copy(&mut from, &mut to));
        }
        Self { near, far, _open: open }
    }
}

/// Opens a pseudo-terminal: its master, and the path that a program opens.
fn open_pty() -> (File, String) {
    let master = pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY).unwrap();
    pty::grantpt(&master).unwrap();
    pty::unlockpt(&master).unwrap();
    let path = pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    (File::from(master), path)
}
