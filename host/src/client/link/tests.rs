//! The link against scripted servers: storing, retransmission, reconnecting.
use super::*;
use crate::client::{ReceivedMessage, StateFile};
use crate::server::{self, Server};
use atm_core::{
    ledger::Numbers,
    message::{Capabilities, Fault},
    screen::CardPrompt,
    terminal::Profile,
};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A message of the server, framed for the `json` wire.
fn framed(body: &str) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes(), body.as_bytes()].concat()
}

/// The terminal's next message; `None` at the end of the stream.
fn receive(stream: &mut TcpStream) -> Option<String> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    String::from_utf8(body).ok()
}

fn number(body: &str, field: &str) -> u64 {
    let rest = body.split_once(&format!("\"{field}\":")).unwrap().1;
    rest.split([',', '}']).next().unwrap().parse().unwrap()
}

/// The reply `seq` to a hello.
fn welcome(hello: &str, seq: u64) -> Vec<u8> {
    let (start, attempt) = (number(hello, "start"), number(hello, "attempt"));
    framed(&format!(
        r#"{{"seq":{seq},"hello":1,"ledger":"00000000000000aa","start":{start},"attempt":{attempt},"input":true,"data":"Menu"}}"#
    ))
}

fn named(address: String) -> Options {
    let profile = Profile { name: Some("kiosk-7".parse().unwrap()), start: 5, ..Profile::default() };
    Options { profile: Some(profile), ..Options::new(Target::Tcp(vec![address])) }
}

/// A log of what was shown, stored and received, in order. As a memory store it fails after `full`.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn push(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }
}

impl MemoryStore for Log {
    fn store(&mut self, memory: &Memory, _: bool) -> io::Result<()> {
        let mut log = self.0.lock().unwrap();
        if log.last().is_some_and(|last| last == "full") {
            return Err(io::ErrorKind::StorageFull.into());
        }
        log.push(format!("stores {} {:?}", memory.shown, memory.pending));
        Ok(())
    }
}

/// Logs events until a prompt is open.
fn next_prompt(link: &mut Link, log: &Log) -> Prompt {
    loop {
        match link.next(None) {
            LinkEvent::Message(message) => {
                log.push(format!("shows {:?}", message.seq.unwrap()));
                if let Some(prompt) = message.prompt {
                    return prompt;
                }
            }
            other => log.push(format!("{other:?}")),
        }
    }
}

#[test]
fn an_answer_is_stored_before_it_is_sent_and_cleared_after_its_reply_was_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut link = Link::open(&named(listener.local_addr().unwrap().to_string())).unwrap();
    let log = Log::default();
    let server_log = log.clone();
    let serving = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let hello = receive(&mut stream).unwrap();
        stream.write_all(&welcome(&hello, 7)).unwrap();
        while let Some(answer) = receive(&mut stream) {
            server_log.push(format!("receives {}", number(&answer, "re")));
            stream.write_all(&framed(r#"{"seq":8,"re":7,"input":true,"data":"Done"}"#)).unwrap();
        }
        server_log.push("ends");
    });
    link.store_memory_in(log.clone());
    let open = next_prompt(&mut link, &log);
    link.answer(open, "withdraw 40").unwrap();
    next_prompt(&mut link, &log);
    link.store_memory().unwrap();
    link.store_memory().unwrap();
    log.push("full");
    assert_eq!(link.answer(Some(8), "deposit 1"), Ok(()));
    assert!(matches!(link.next(None), LinkEvent::NotStored(_)));
    assert!(matches!(link.next(None), LinkEvent::NotStored(_)), "it stays so");
    drop(link);
    serving.join().unwrap();
    let log = log.0.lock().unwrap();
    let expected = ["shows 7", "stores 7 Some(7)", "receives 7", "shows 8", "stores 8 None", "full", "ends"];
    assert_eq!(*log, expected, "an answer that could not be stored was sent");
}

#[test]
fn the_largest_number_is_stored_and_one_out_of_range_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| StateFile::open(&folder.path().join(name), &"kiosk-7".parse().unwrap()).unwrap();
    for seq in [Numbers::MAX - 1, Numbers::MAX, Numbers::MAX + 1, u64::MAX] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = open(&seq.to_string());
        let options = named(listener.local_addr().unwrap().to_string());
        let mut link = Link::open(&Options { profile: Some(state.profile()), ..options }).unwrap();
        link.store_memory_in(state);
        let serving = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let hello = receive(&mut stream).unwrap();
            stream.write_all(&welcome(&hello, seq)).unwrap();
            stream
        });
        let (event, is_valid) = (link.next(None), seq < Numbers::MAX);
        match event {
            LinkEvent::Message(message) => assert_eq!((message.seq, is_valid), (Some(seq), true)),
            LinkEvent::Fault(Fault::NotAMessage) => assert!(!is_valid, "{seq}"),
            other => panic!("{other:?}"),
        }
        link.store_memory().unwrap();
        drop((link, serving.join().unwrap()));
        let stored = open(&seq.to_string()).profile().memory.shown;
        assert_eq!(stored, if is_valid { seq } else { 0 });
    }
}

#[test]
fn a_lost_reply_to_exit_leaves_no_outcome_to_report_at_the_next_start() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut link = Link::open(&named(listener.local_addr().unwrap().to_string())).unwrap();
    let log = Log::default();
    let serving = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let hello = receive(&mut stream).unwrap();
        stream.write_all(&welcome(&hello, 7)).unwrap();
        let (first, began) = (receive(&mut stream).unwrap(), std::time::Instant::now());
        let second = receive(&mut stream).unwrap();
        (first, second, began.elapsed(), stream)
    });
    link.store_memory_in(log.clone());
    let open = next_prompt(&mut link, &log);
    link.leave(open).unwrap();
    let until = link.now() + Duration::from_millis(2_500);
    assert!(matches!(link.next(Some(until)), LinkEvent::Timeout));
    link.store_memory().unwrap();
    assert_eq!(*log.0.lock().unwrap(), ["shows 7", "stores 7 None"], "the exit is not stored as pending");
    let (first, second, between, _stream) = serving.join().unwrap();
    assert_eq!((first.as_str(), &first), (r#"{"re":7,"data":"exit"}"#, &second));
    assert!((900..2_000).contains(&between.as_millis()), "retransmitted after {between:?}");
}

#[test]
fn a_lost_connection_is_replaced_and_the_answer_retransmitted_on_the_new_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut link = Link::open(&named(listener.local_addr().unwrap().to_string())).unwrap();
    let log = Log::default();
    let server_log = log.clone();
    let serving = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let hello = receive(&mut stream).unwrap();
        stream.write_all(&welcome(&hello, 7)).unwrap();
        receive(&mut stream).unwrap();
        // The answer gets no reply, and the connection is lost in the middle of a message.
        stream.write_all(&[0, 0]).unwrap();
        drop(stream);
        // The second connection is lost before the host served it.
        drop(listener.accept().unwrap());
        let mut stream = listener.accept().unwrap().0;
        let hello = receive(&mut stream).unwrap();
        assert!(hello.contains(r#""pending":7"#) && hello.contains(r#""resume":true"#), "{hello}");
        stream.write_all(&welcome(&hello, 7)).unwrap();
        let answer = receive(&mut stream).unwrap();
        server_log.push(format!("receives {}", number(&answer, "re")));
        stream.write_all(&framed(r#"{"seq":8,"re":7,"input":true,"data":"Done"}"#)).unwrap();
        // A connection that is lost at an open prompt is replaced too.
        drop(stream);
        let mut stream = listener.accept().unwrap().0;
        let hello = receive(&mut stream).unwrap();
        stream.write_all(&welcome(&hello, 8)).unwrap();
        receive(&mut stream)
    });
    let open = next_prompt(&mut link, &log);
    link.answer(open, "withdraw 40").unwrap();
    assert_eq!(next_prompt(&mut link, &log), Some(8));
    assert!(matches!(link.next(None), LinkEvent::ConnectionLost));
    assert!(matches!(link.next(None), LinkEvent::Reconnected));
    assert_eq!(link.prompt(), Some(Some(8)), "the prompt is open again without a message");
    drop(link);
    assert_eq!(serving.join().unwrap(), None);
    let log = log.0.lock().unwrap();
    let expected = ["shows 7", "ConnectionLost", "Reconnected", "receives 7", "shows 8"];
    assert!(
        *log == expected || *log == ["shows 7", "ConnectionLost", "receives 7", "Reconnected", "shows 8"],
        "{log:?} is not {expected:?}"
    );
}

const BUSY: &str = r#"{"input":false,"data":"No room.","notice":"busy","end":true}"#;

#[test]
fn a_named_terminal_that_a_full_host_turns_away_tries_again_and_resumes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut link = Link::open(&named(listener.local_addr().unwrap().to_string())).unwrap();
    let log = Log::default();
    let serving = thread::spawn(move || {
        let accept = || {
            let mut stream = listener.accept().unwrap().0;
            let hello = receive(&mut stream).unwrap();
            (stream, hello)
        };
        let (mut stream, hello) = accept();
        stream.write_all(&welcome(&hello, 7)).unwrap();
        receive(&mut stream).unwrap();
        // The connection is lost, and meanwhile others have taken all sessions.
        drop(stream);
        let (mut stream, _) = accept();
        stream.write_all(&framed(BUSY)).unwrap();
        assert_eq!(receive(&mut stream), None, "the client closes it");
        let (mut stream, hello) = accept();
        assert!(hello.contains(r#""pending":7"#) && hello.contains(r#""resume":true"#), "{hello}");
        stream.write_all(&welcome(&hello, 7)).unwrap();
        assert_eq!(number(&receive(&mut stream).unwrap(), "re"), 7);
        stream.write_all(&framed(r#"{"seq":8,"re":7,"input":true,"data":"Done"}"#)).unwrap();
        // Another terminal takes the place of the session.
        stream.write_all(&framed(BUSY)).unwrap();
        let (mut stream, hello) = accept();
        assert!(hello.contains(r#""resume":true"#), "{hello}");
        stream.write_all(&welcome(&hello, 8)).unwrap();
        receive(&mut stream)
    });
    let open = next_prompt(&mut link, &log);
    link.answer(open, "withdraw 40").unwrap();
    assert_eq!(next_prompt(&mut link, &log), Some(8));
    let LinkEvent::Message(busy) = link.next(None) else { panic!("no message") };
    assert_eq!((busy.text.as_str(), busy.ends), ("No room.", false));
    assert!(matches!(link.next(None), LinkEvent::ConnectionLost));
    assert!(matches!(link.next(None), LinkEvent::Reconnected));
    assert_eq!(link.prompt(), Some(Some(8)), "the prompt is open again");
    drop(link);
    assert_eq!(serving.join().unwrap(), None);
}

#[test]
fn without_reconnecting_a_full_host_ends_the_session() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = named(listener.local_addr().unwrap().to_string());
    let mut link = Link::open(&Options { reconnect: false, ..options }).unwrap();
    let mut stream = listener.accept().unwrap().0;
    stream.write_all(&framed(BUSY)).unwrap();
    assert!(matches!(link.next(None), LinkEvent::Message(message) if message.ends));
}

#[test]
fn a_prompt_is_not_open_before_its_message_was_returned() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut link = Link::open(&named(listener.local_addr().unwrap().to_string())).unwrap();
    let serving = thread::spawn(move || {
        drop(listener.accept().unwrap());
        let mut stream = listener.accept().unwrap().0;
        let hello = receive(&mut stream).unwrap();
        stream.write_all(&welcome(&hello, 7)).unwrap();
        stream
    });
    assert!(matches!(link.next(None), LinkEvent::ConnectionLost));
    assert!(matches!(link.next(None), LinkEvent::Reconnected));
    assert_eq!(link.prompt(), None);
    assert!(matches!(link.next(None), LinkEvent::Message(message) if message.seq == Some(7)));
    assert_eq!(link.prompt(), Some(Some(7)));
    serving.join().unwrap();
}

#[test]
fn a_terminal_without_a_name_or_with_no_reconnect_does_not_reconnect() {
    for (options, reconnect) in
        [(named as fn(String) -> Options, false), (|address| Options::new(Target::Tcp(vec![address])), true)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = Options { reconnect, ..options(listener.local_addr().unwrap().to_string()) };
        let mut link = Link::open(&options).unwrap();
        drop(listener.accept().unwrap());
        assert!(matches!(link.next(None), LinkEvent::Closed(_)));
        assert!(matches!(link.next(None), LinkEvent::Closed(None)));
    }
}

#[test]
fn a_newer_terminal_of_the_same_name_takes_over() {
    let server = Server::bind("127.0.0.1:0", server::ServerConfig::new(Wire::Json)).unwrap();
    let (address, stop) = (server.local_addr().to_string(), server.stop_handle());
    let serving = thread::spawn(move || server.run());
    let log = Log::default();
    let mut older = Link::open(&named(address.clone())).unwrap();
    next_prompt(&mut older, &log);
    let mut options = named(address);
    options.profile.as_mut().unwrap().start = 6;
    let mut newer = Link::open(&options).unwrap();
    next_prompt(&mut newer, &log);
    let LinkEvent::Message(message) = older.next(None) else { panic!("no message") };
    assert!(
        message.ends && message.text == "This terminal was taken over by a newer connection.",
        "{message:?}"
    );
    assert!(matches!(older.next(None), LinkEvent::Closed(None)), "it does not reconnect");
    stop.stop();
    serving.join().unwrap().unwrap();
}

mod cards;
mod hosts;
