//! Tests of serial ports, over pseudo-terminals.
use super::*;
use embedded_io::{Read, ReadReady, Write, WriteReady};

const LONG: Duration = Duration::from_secs(20);

fn pair() -> (Port, Port) {
    let (master, loopback) = Port::loopback().unwrap();
    (master, Port::open(&loopback.path, 115_200).unwrap())
}

/// Reads the next `n` bytes at `to`, while `from` writes its queue.
fn take(from: &mut Port, to: &mut Port, n: usize) -> Vec<u8> {
    let (mut taken, start) = (Vec::new(), Instant::now());
    while taken.len() < n {
        assert!(start.elapsed() < LONG, "{} of {n} bytes came", taken.len());
        from.write_ready().unwrap();
        if to.wait(Duration::from_millis(1)).unwrap() {
            let mut bytes = [0; 100];
            let got = to.read(&mut bytes[..100.min(n - taken.len())]).unwrap();
            assert_ne!(got, 0);
            taken.extend(&bytes[..got]);
        }
    }
    taken
}

#[test]
fn every_byte_passes_unchanged_both_ways() {
    let (mut a, mut b) = pair();
    let bytes: Vec<u8> = (0..=255).collect();
    for _ in 0..4 {
        a.write_all(&bytes).unwrap();
        a.flush().unwrap();
        assert_eq!(take(&mut a, &mut b, 256), bytes);
        assert!(!a.read_ready().unwrap() && !b.read_ready().unwrap(), "an echo");
        std::mem::swap(&mut a, &mut b);
    }
}

#[test]
fn wait_ends_at_the_deadline_and_read_blocks() {
    let (mut a, mut b) = pair();
    for time in [0, 1, 30, 300].map(Duration::from_millis) {
        let start = Instant::now();
        assert!(!a.wait(time).unwrap());
        assert!(start.elapsed() >= time);
    }
    let reader = std::thread::spawn(move || {
        let (start, mut bytes) = (Instant::now(), [0; 8]);
        assert_eq!((a.read(&mut bytes).unwrap(), bytes[0]), (1, 7));
        assert!(a.wait(2 * LONG).unwrap() && start.elapsed() < LONG);
        assert_eq!((a.read(&mut bytes).unwrap(), bytes[0]), (1, 8));
    });
    for byte in [7, 8] {
        assert!(!b.wait(Duration::from_millis(50)).unwrap());
        b.write_all(&[byte]).unwrap();
    }
    reader.join().unwrap();
}

#[test]
fn a_write_to_an_unread_port_neither_blocks_nor_loses_bytes() {
    let (a, b) = pair();
    for (mut from, mut to) in [pair(), (b, a)] {
        let mut sent = Vec::new();
        // A device that looks full may have room a moment later, when the system has moved its bytes.
        while from.write_ready().unwrap() || {
            assert!(!from.wait(Duration::from_millis(100)).unwrap());
            from.write_ready().unwrap()
        } {
            assert!(sent.len() < 1 << 24, "the device never gets full");
            let bytes: Vec<u8> = (0..199).map(|i| ((sent.len() + i) % 251) as u8).collect();
            let n = from.write(&bytes).unwrap();
            assert!(n > 0);
            sent.extend(&bytes[..n]);
        }
        assert!(take(&mut from, &mut to, sent.len()) == sent);
        assert!(from.write_ready().unwrap() && !to.read_ready().unwrap());
    }
}

#[test]
fn clients_use_a_loopback_one_at_a_time() {
    let (mut master, loopback) = Port::loopback().unwrap();
    for turn in 0..5 {
        let mut client = Port::open(&loopback.path, 115_200).unwrap();
        let second = Port::open(&loopback.path, 115_200).err().unwrap();
        assert_eq!(second.kind(), io::ErrorKind::ResourceBusy);
        assert!(second.to_string().contains(&loopback.path), "{second}");
        client.write_all(&[turn]).unwrap();
        assert_eq!(take(&mut client, &mut master, 1), [turn]);
        drop(client);
        assert!(!master.wait(Duration::from_millis(5)).unwrap());
    }
    let mut client = Port::open(&loopback.path, 115_200).unwrap();
    drop(master);
    assert_eq!(client.wait(LONG).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(client.write(&[1]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    let missing = Port::open("/dev/no-such-port", 9600).err().unwrap();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    assert!(missing.to_string().contains("/dev/no-such-port"), "{missing}");
}

/// Root is exempt from the flag: run by root, this proves less.
#[test]
fn a_killed_client_does_not_lock_out_the_next() {
    if let Ok(path) = std::env::var("TEST_SERIAL_PATH") {
        let mut client = serialport::new(path, 115_200).timeout(LONG).open().unwrap();
        client.write_all(&[1]).unwrap();
        return assert!(client.read(&mut [0]).is_err());
    }
    let (mut master, loopback) = Port::loopback().unwrap();
    let mut client = std::process::Command::new(std::env::current_exe().unwrap())
        .arg("a_killed_client_does_not_lock_out_the_next")
        .env("TEST_SERIAL_PATH", &loopback.path)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(take(&mut Port::loopback().unwrap().0, &mut master, 1), [1]);
    client.kill().unwrap();
    client.wait().unwrap();
    assert!(!master.wait(Duration::ZERO).unwrap());
    Port::open(&loopback.path, 115_200).unwrap();
}
