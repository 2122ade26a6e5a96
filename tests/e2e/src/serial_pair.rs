//! A serial cable between two programs.
use rustix::pty;
use std::{
    fs::{File, OpenOptions},
    io, thread,
};

/// Two pseudo-terminals whose masters are tied together.
#[derive(Debug)]
pub struct SerialPair {
    /// The port at one end.
    pub near: String,
    /// The port at the other end.
    pub far: String,
    /// While somebody has them open, they do not hang up between two programs.
    _open: [File; 2],
}

impl SerialPair {
    /// Lays it. What carries the bytes ends with the process.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let ((a, near), (b, far)) = (end(), end());
        let open = [&near, &far].map(|path| OpenOptions::new().read(true).open(path).unwrap());
        for (mut from, mut to) in [(a.try_clone().unwrap(), b.try_clone().unwrap()), (b, a)] {
            thread::spawn(move || io::copy(&mut from, &mut to));
        }
        Self { near, far, _open: open }
    }
}

/// One end: the master of a pseudo-terminal, and the path that a program opens.
fn end() -> (File, String) {
    let master = pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY).unwrap();
    pty::grantpt(&master).unwrap();
    pty::unlockpt(&master).unwrap();
    let path = pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    (File::from(master), path)
}
