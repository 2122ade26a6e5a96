//! The server on a serial line, with the client at its other end.
use super::*;
use crate::client::{LinkEvent, Options, ReceivedMessage, Target};
use atm_core::{terminal::Profile, wire::Wire};
use std::thread;

fn next_message(link: &mut crate::client::Link) -> ReceivedMessage {
    loop {
        match link.next(None) {
            LinkEvent::Message(message) => return message,
            LinkEvent::LinkDown | LinkEvent::LinkUp => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_session_ends_with_quit_where_that_is_allowed_or_when_the_server_stops() {
    for (wire, allow_remote_quit) in [(Wire::Postcard, false), (Wire::Json, true)] {
        let (mut port, loopback) = Port::loopback().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let config = ServerConfig { allow_remote_quit, ..ServerConfig::new(wire) };
        let stop_requested = stop.clone();
        // The port is returned so that it stays open: to drop it would lose what is on its way.
        let serving = thread::spawn(move || (serve(&mut port, &config, &stop_requested, || ()), port));
        let target = Target::Serial { path: loopback.path, baud: 115_200 };
        let mut link = crate::client::Link::open(&Options { wire, ..Options::new(target) }).unwrap();
        let mut prompt = next_message(&mut link).prompt.unwrap();
        for (answer, expected) in [("deposit 40", "Your balance is $140."), ("quit", "stop")] {
            link.answer(prompt, answer).unwrap();
            let message = next_message(&mut link);
            assert!(message.text.contains(expected), "{message:?}");
            assert_eq!(message.ends, answer == "quit" && allow_remote_quit);
            prompt = message.prompt.unwrap_or_default();
        }
        if !allow_remote_quit {
            stop.store(true, Ordering::Release);
            assert!(next_message(&mut link).ends, "it says goodbye");
        }
        serving.join().unwrap().0.unwrap();
    }
}

#[test]
fn a_ledger_on_disk_is_kept_between_starts() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=2 {
        let (mut port, loopback) = Port::loopback().unwrap();
        let config = ServerConfig { allow_remote_quit: true, ..ServerConfig::new(Wire::Postcard) };
        let path = folder.path().to_owned();
        let serving = thread::spawn(move || {
            (serve_from_disk(&mut port, &config, &path, false, &AtomicBool::new(false), || ()), port)
        });
        let target = Target::Serial { path: loopback.path, baud: 115_200 };
        let mut link = crate::client::Link::open(&Options::new(target)).unwrap();
        let prompt = next_message(&mut link).prompt.unwrap();
        link.answer(prompt, "deposit 40").unwrap();
        let reply = next_message(&mut link);
        assert!(reply.text.contains(&format!("Your balance is ${}.", 100 + 40 * round)), "{reply:?}");
        link.answer(reply.prompt.unwrap(), "quit").unwrap();
        assert!(next_message(&mut link).ends);
        serving.join().unwrap().0.unwrap();
        // It was closed in order: nothing is left in the write-ahead log.
        assert!(!folder.path().join("ledger.db-wal").exists());
    }
}

#[test]
fn a_device_that_is_gone_is_an_error() {
    let (master, loopback) = Port::loopback().unwrap();
    let mut port = Port::open(&loopback.path, 115_200).unwrap();
    let serving = thread::spawn(move || {
        serve(&mut port, &ServerConfig::new(Wire::Postcard), &AtomicBool::new(false), || ())
    });
    thread::sleep(Duration::from_millis(100));
    drop(master);
    let error = serving.join().unwrap().unwrap_err().to_string();
    assert!(error.contains("gone"), "{error}");
}

/// A null-modem cable: two devices, the bytes of each copied to the other until they are gone.
struct Cable {
    is_gone: Arc<AtomicBool>,
    copying: thread::JoinHandle<()>,
}

impl Cable {
    /// Makes the devices, and their names anew.
    fn plug_in(names: &[String; 2]) -> Self {
        let ends = [0, 1].map(|_| Port::loopback().unwrap());
        for (name, (_, loopback)) in names.iter().zip(&ends) {
            std::os::unix::fs::symlink(&loopback.path, name).unwrap();
        }
        let is_gone = Arc::new(AtomicBool::new(false));
        let pulled = is_gone.clone();
        let copying = thread::spawn(move || {
            let mut ports = ends.map(|(port, _)| port);
            while !pulled.load(Ordering::Acquire) {
                let [from, to] = &mut ports;
                if from.wait(Duration::from_millis(1)).unwrap() {
                    let mut bytes = [0; 64];
                    let count = from.read(&mut bytes).unwrap();
                    to.write_all(&bytes[..count]).unwrap();
                }
                // The other way.
                ports.swap(0, 1);
            }
        });
        Self { is_gone, copying }
    }

    fn pull(self, names: &[String; 2]) {
        self.is_gone.store(true, Ordering::Release);
        self.copying.join().unwrap();
        for name in names {
            std::fs::remove_file(name).unwrap();
        }
    }
}

#[test]
fn a_device_that_is_back_under_its_name_is_opened_again_at_both_ends() {
    for (wire, name) in [(Wire::Postcard, Some("kiosk-7")), (Wire::Json, None)] {
        let folder = tempfile::tempdir().unwrap();
        let names = ["server", "client"].map(|end| folder.path().join(end).to_str().unwrap().to_owned());
        let mut cable = Cable::plug_in(&names);
        let port = &mut Port::open(&names[0], 115_200).unwrap();
        let target = Target::Serial { path: names[1].clone(), baud: 115_200 };
        let profile =
            Profile { name: name.map(|name| name.parse().unwrap()), start: 5, ..Profile::default() };
        let options = Options { wire, profile: Some(profile), ..Options::new(target) };
        let link = &mut crate::client::Link::open(&options).unwrap();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let serving = scope.spawn(|| serve(port, &ServerConfig::new(wire), &stop, || ()));
            let mut prompt = next_message(link).prompt.unwrap();
            for balance in [101, 102, 103] {
                link.answer(prompt, "deposit 1").unwrap();
                let reply = next_message(link);
                assert!(reply.text.contains(&format!("Your balance is ${balance}.")), "{reply:?}");
                prompt = reply.prompt.unwrap();
                cable.pull(&names);
                let event = link.next(None);
                assert!(matches!(event, LinkEvent::ConnectionLost), "{event:?}");
                cable = Cable::plug_in(&names);
                let event = link.next(None);
                assert!(matches!(event, LinkEvent::Reconnected), "{event:?}");
                assert_eq!(link.prompt(), Some(prompt));
            }
            // While there is no device, the server stops without one.
            cable.pull(&names);
            stop.store(true, Ordering::Release);
            serving.join().unwrap().unwrap();
        });
    }
}

#[test]
fn a_device_that_does_not_come_back_is_an_error_after_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a", "b"].map(|end| folder.path().join(end).to_str().unwrap().to_owned());
    let cable = Cable::plug_in(&names);
    let mut port = Port::open(&names[0], 115_200).unwrap();
    // A device that is there but fails at once is opened a few times a second.
    cable.pull(&names);
    let lost = port.wait(Duration::from_secs(20)).unwrap_err();
    let (cable, began) = (Cable::plug_in(&names), std::time::Instant::now());
    assert!(reopen(&mut port, lost, &AtomicBool::new(false), Duration::from_secs(20)).unwrap());
    assert!(began.elapsed() >= REOPEN_INTERVAL);
    cable.pull(&names);
    let lost = port.wait(Duration::from_secs(20)).unwrap_err();
    let error =
        reopen(&mut port, lost, &AtomicBool::new(false), Duration::from_millis(300)).unwrap_err().to_string();
    assert!(error.contains("gone"), "{error}");
}
