//! A board in QEMU: its image, its EEPROM in a file, its serial port on a socket.
use crate::PATIENCE;
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Write},
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The root folder of the workspace.
pub(crate) fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// Where `cargo fw` leaves an image.
pub fn image(name: &str) -> PathBuf {
    workspace_root().join("target/thumbv7m-none-eabi/firmware").join(name)
}

/// The RAM of the part (datasheet, chapter 1.1).
const RAM: u64 = 0x2000_0000;
const RAM_SIZE: usize = 65_536;

/// A board that is switched on, and off without warning where it goes out of scope.
pub struct Board {
    qemu: Child,
    folder: PathBuf,
    line: UnixStream,
}

impl Board {
    /// Switches a board on whose first serial port is ours. `folder` is for its files and belongs to it alone; `more` are
    /// arguments for QEMU.
    pub fn start(image: &Path, folder: &Path, more: &[&str]) -> Self {
        Self::with(image, folder, None, more)
    }

    /// Switches a board on whose first serial port is at `peer`, as QEMU takes it, and whose second one is ours.
    pub fn start_behind(peer: &str, image: &Path, folder: &Path) -> Self {
        Self::with(image, folder, Some(peer), &[])
    }

    fn with(image: &Path, folder: &Path, peer: Option<&str>, more: &[&str]) -> Self {
        assert!(image.exists(), "{} is not there: build it with `cargo fw`", image.display());
        fs::create_dir_all(folder).unwrap();
        let socket = folder.join("uart");
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let ours = format!("unix:{}", socket.display());
        let (first, second) = peer.map_or((ours.as_str(), None), |peer| (peer, Some(ours.as_str())));
        let script = workspace_root().join("firmware-sim/qemu");
        let qemu = Command::new(script)
            .arg(image)
            .args(["-qmp", &format!("unix:{},server=on,wait=off", folder.join("qmp").display())])
            .args(more)
            .args(second.into_iter().flat_map(|second| ["-serial", second]))
            .env("EEPROM", folder.join("eeprom"))
            .env("SERIAL", first)
            .stdin(Stdio::null())
            // It says of a watchdog that is set for the first time that its period was zero.
            .stderr(Stdio::null())
            .spawn()
            .expect("QEMU is needed: qemu-system-arm");
        assert!(is_ready(&listener, PATIENCE), "QEMU does not come to its serial port");
        let (line, _) = listener.accept().unwrap();
        line.set_nonblocking(true).unwrap();
        Self { qemu, folder: folder.to_owned(), line }
    }

    /// The other end of the serial port.
    pub fn line(&self) -> UnixStream {
        self.line.try_clone().unwrap()
    }

    /// Pulls the plug.
    pub fn cut(mut self) {
        self.off();
    }

    fn off(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }

    /// All that stands in RAM.
    pub fn ram(&self) -> Vec<u8> {
        let file = self.folder.join("ram");
        self.order("pmemsave", json!({"val": RAM, "size": RAM_SIZE, "filename": file}));
        fs::read(file).unwrap()
    }

    /// Gives QEMU an order and waits until it is carried out.
    fn order(&self, command: &str, arguments: Value) {
        let mut orders = UnixStream::connect(self.folder.join("qmp")).unwrap();
        orders.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answers = BufReader::new(orders.try_clone().unwrap()).lines();
        // It greets first.
        answers.next().unwrap().unwrap();
        for order in
            [json!({"execute": "qmp_capabilities"}), json!({"execute": command, "arguments": arguments})]
        {
            writeln!(orders, "{order}").unwrap();
            loop {
                let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
                assert!(answer.get("error").is_none(), "{order}: {answer}");
                if answer.get("return").is_some() {
                    break;
                }
            }
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.off();
    }
}

/// Waits until there is something to read or to accept; false where there is nothing for so long.
pub(super) fn is_ready(from: &impl AsFd, patience: Duration) -> bool {
    let timeout = patience.try_into().unwrap();
    loop {
        match poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            ready => return ready.unwrap() > 0,
        }
    }
}
