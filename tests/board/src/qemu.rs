//! A board in QEMU (machine lm3s6965evb): its image, its EEPROM in a file, its serial port on a Unix socket.
use crate::TIMEOUT;
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

/// The target of `cargo fw`: a Cortex-M3.
pub const CORTEX_M3: &str = "thumbv7m-none-eabi";

/// The target of `cargo fw-m0`: a Cortex-M0, whose instructions a Cortex-M3 runs too.
pub const CORTEX_M0: &str = "thumbv6m-none-eabi";

/// The path of an image that `cargo fw` has built.
pub fn image(name: &str) -> PathBuf {
    image_for(CORTEX_M3, name)
}

/// The path of an image for a target.
pub fn image_for(target: &str, name: &str) -> PathBuf {
    image_in("firmware", target, name)
}

/// The path of an image with sealed links.
pub fn sealed_image(target: &str, name: &str) -> PathBuf {
    image_in("firmware-sealed", target, name)
}

/// The path of an image that was built with this profile.
pub fn image_in(profile: &str, target: &str, name: &str) -> PathBuf {
    workspace_root().join("target").join(target).join(profile).join(name)
}

/// Builds an image by one of the aliases in `.cargo/config.toml`.
pub fn build(alias: &[&str]) {
    let cargo = env!("CARGO");
    let status =
        Command::new(cargo).current_dir(workspace_root()).args(alias).arg("--quiet").status().unwrap();
    assert!(status.success(), "cargo {} has failed", alias.join(" "));
}

/// The RAM of the LM3S6965 (its datasheet, chapter 1.1).
const RAM: u64 = 0x2000_0000;
const RAM_SIZE: usize = 65_536;

/// A running board; its power is cut when it is dropped.
pub struct Board {
    qemu: Child,
    folder: PathBuf,
    serial_port: UnixStream,
}

impl Board {
    /// Starts a board and connects to its first serial port. Its files are in `folder`, which no other board
    /// may use; `arguments` are for QEMU.
    pub fn start(image: &Path, folder: &Path, arguments: &[&str]) -> Self {
        Self::start_with(image, folder, None, arguments)
    }

    /// Starts a board whose first serial port is connected to `peer` (an argument of QEMU's `-serial`), and
    /// connects to its second one.
    pub fn start_connected_to(peer: &str, image: &Path, folder: &Path) -> Self {
        Self::start_with(image, folder, Some(peer), &[])
    }

    fn start_with(image: &Path, folder: &Path, peer: Option<&str>, arguments: &[&str]) -> Self {
        assert!(image.exists(), "{} is missing: build it with `cargo fw`", image.display());
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
            .args(arguments)
            .args(second.into_iter().flat_map(|second| ["-serial", second]))
            .env("EEPROM", folder.join("eeprom"))
            .env("SERIAL", first)
            .stdin(Stdio::null())
            // QEMU warns that the watchdog's period is zero before the image sets it.
            .stderr(Stdio::null())
            .spawn()
            .expect("qemu-system-arm is installed");
        assert!(is_ready(&listener, TIMEOUT), "QEMU does not open its serial port within the timeout");
        let (serial_port, _) = listener.accept().unwrap();
        serial_port.set_nonblocking(true).unwrap();
        Self { qemu, folder: folder.to_owned(), serial_port }
    }

    /// Our end of the serial port, non-blocking.
    pub fn serial_port(&self) -> UnixStream {
        self.serial_port.try_clone().unwrap()
    }

    /// Cuts the power.
    pub fn cut_power(mut self) {
        self.kill();
    }

    fn kill(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }

    /// The contents of the RAM.
    pub fn ram(&self) -> Vec<u8> {
        let file = self.folder.join("ram");
        self.execute("pmemsave", json!({"val": RAM, "size": RAM_SIZE, "filename": file}));
        fs::read(file).unwrap()
    }

    /// Executes a command of QEMU's machine protocol (QMP) and waits for its result.
    fn execute(&self, command: &str, arguments: Value) {
        let mut qmp = UnixStream::connect(self.folder.join("qmp")).unwrap();
        qmp.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut responses = BufReader::new(qmp.try_clone().unwrap()).lines();
        // The first line is QEMU's greeting.
        responses.next().unwrap().unwrap();
        for command_line in
            [json!({"execute": "qmp_capabilities"}), json!({"execute": command, "arguments": arguments})]
        {
            writeln!(qmp, "{command_line}").unwrap();
            loop {
                let response: Value = serde_json::from_str(&responses.next().unwrap().unwrap()).unwrap();
                assert!(response.get("error").is_none(), "{command_line}: {response}");
                if response.get("return").is_some() {
                    break;
                }
            }
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until a read or an accept would not block; false after `timeout`.
pub(super) fn is_ready(from: &impl AsFd, timeout: Duration) -> bool {
    let timeout = timeout.try_into().unwrap();
    loop {
        match poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            ready => return ready.unwrap() > 0,
        }
    }
}
