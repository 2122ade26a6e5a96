//! The REPL against scripted servers: what it shows, sends and returns.
use super::*;
use crate::{
    client::{Options, Target},
    serial::Port,
    server,
};
use atm_core::wire::Wire;
use std::{
    io::{BufReader, Cursor, Read, pipe},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::{self, Instant as Moment},
};

const MENU: &[u8] = br#"{"input":true,"data":"Menu"}"#;

/// How a REPL ended.
struct RunResult {
    code: Exit,
    out: String,
    err: String,
    time: time::Duration,
}

impl RunResult {
    /// Checks the exit code and both outputs.
    fn is(&self, code: Exit, out: &str, err: &str) {
        assert_eq!((self.code, self.out.as_str(), self.err.as_str()), (code, out, err));
    }

    fn at_once(self) -> Self {
        assert!(self.time < time::Duration::from_secs(2), "{:?}", self.time);
        self
    }
}

/// Runs a REPL whose person types `lines` and then nothing more, at a server that does `serve` with the connection.
fn run<T: Send + 'static>(
    wire: Wire,
    lines: &str,
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (RunResult, T) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || serve(listener.accept().unwrap().0));
    let result = run_with(&Options { wire, ..Options::new(Target::Tcp(vec![address])) }, lines);
    (result, serving.join().unwrap())
}

fn run_with(options: &Options, lines: &str) -> RunResult {
    let mut link = Link::open(options).unwrap();
    // The open writer keeps the input from ending after the lines.
    let (reader, _writer) = pipe().unwrap();
    let source = BufReader::new(Cursor::new(lines.to_owned()).chain(reader));
    let mut console = Console::reading(source, link.wake()).unwrap();
    (console.interactive, console.echoes) = (true, true);
    let (mut out, mut err, start) = (Vec::new(), Vec::new(), Moment::now());
    let code = run_repl(&mut link, &mut console, PipeOptions::default(), &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    RunResult { code, out: text(out), err: text(err), time: start.elapsed() }
}

fn send(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
}

/// Reads until `expected` has come, or to the end of the stream.
fn receive(stream: &mut TcpStream, expected: &str) -> String {
    let (mut all, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&all).contains(expected) && stream.read(&mut byte).unwrap() > 0 {
        all.extend(byte);
    }
    String::from_utf8(all).unwrap()
}

/// A message framed for the `json` wire.
fn framed(body: &str) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes(), body.as_bytes()].concat()
}

#[test]
fn piped_lines_run_a_whole_session_on_every_wire() {
    for (_, wire) in Wire::ALL {
        let server = server::Server::bind("127.0.0.1:0", server::ServerConfig::new(*wire)).unwrap();
        let (address, stop) = (server.local_addr(), server.stop_handle());
        let serving = thread::spawn(move || server.run());
        let options = Options { wire: *wire, ..Options::new(Target::Tcp(vec![address.to_string()])) };
        let mut link = Link::open(&options).unwrap();
        let mut console = Console::reading(b"1\n40\n\n3\n".as_slice(), link.wake()).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        // The empty line is refused.
        let pipe = PipeOptions { keep_going: true, ..PipeOptions::default() };
        assert_eq!(run_repl(&mut link, &mut console, pipe, &mut out, &mut err), Exit::Refused);
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<_> =
            out.lines().filter(|line| line.contains(['$', '>']) || line.ends_with('.')).collect();
        let shown = ["Amount deposited: $40. Your balance is $140.", "Your balance is $140.", "Goodbye."];
        assert!(shown.iter().all(|line| lines.contains(line)), "{out}");
        assert!(!out.contains(">>>"), "{out}");
        assert_eq!(err, b"line 3 (\"\"): it was refused\n");
        drop(link);
        stop.stop();
        serving.join().unwrap().unwrap();
    }
}

#[test]
fn exit_in_any_letter_case_succeeds_without_a_goodbye() {
    let (result, received) = run(Wire::Raw, " ExIt \n", |mut stream| {
        send(&mut stream, MENU);
        receive(&mut stream, "nothing more than that")
    });
    result.is(Exit::Done, "Menu\n>>> ", "");
    assert!(result.time >= time::Duration::from_secs(2), "it waits for the goodbye");
    assert_eq!(received, "exit");
}

#[test]
fn the_goodbye_is_shown_and_ends_the_wait() {
    let (result, _) = run(Wire::Raw, "exit\n", |mut stream| {
        send(&mut stream, MENU);
        receive(&mut stream, "exit");
        send(&mut stream, br#"{"input":false,"data":"Goodbye."}"#);
    });
    result.at_once().is(Exit::Done, "Menu\n>>> Goodbye.\n", "");
}

#[test]
fn a_connection_closed_at_the_prompt_ends_the_repl_at_once() {
    let (result, _) = run(Wire::Raw, "", |mut stream| {
        send(&mut stream, MENU);
        stream.shutdown(Shutdown::Both).unwrap();
    });
    result.at_once().is(Exit::Error, "Menu\n>>> \n", "the server closed the connection\n");
}

#[test]
fn a_connection_closed_without_a_byte_has_a_hint_at_sealed_links_and_tls() {
    for (_, wire) in Wire::ALL {
        let (result, ()) = run(*wire, "", |stream| stream.shutdown(Shutdown::Both).unwrap());
        let err = "the server closed the connection\nthe server has sent nothing: it may serve only sealed links (--key) or TLS \
                   (--tls-ca)\n";
        assert_eq!((result.code, result.err.as_str()), (Exit::Error, err), "{wire}");
    }
}

#[test]
fn a_connection_closed_before_the_reply_leaves_the_outcome_unknown() {
    for (wire, menu) in
        [(Wire::Raw, MENU.to_vec()), (Wire::Json, framed(r#"{"seq":1,"input":true,"data":"Menu"}"#))]
    {
        let (result, _) = run(wire, "40\n", move |mut stream| {
            send(&mut stream, &menu);
            receive(&mut stream, "40");
            // In the middle of its reply.
            send(&mut stream, menu.get(..9).unwrap());
        });
        let err = "the server closed the connection\nunknown: check the balance\n";
        assert_eq!((result.code, result.err.as_str()), (Exit::Unknown, err), "{wire}");
    }
}

#[test]
fn a_permitted_quit_succeeds_and_a_refused_one_changes_nothing() {
    let (permitted, _) = run(Wire::Raw, "quit\n", |mut stream| {
        send(&mut stream, MENU);
        receive(&mut stream, "quit");
    });
    permitted.at_once().is(Exit::Done, "Menu\n>>> ", "");
    let (refused, _) = run(Wire::Raw, "QUIT\n", |mut stream| {
        send(&mut stream, MENU);
        receive(&mut stream, "QUIT");
        send(&mut stream, br#"{"input":true,"data":"No."}"#);
    });
    refused.is(Exit::Error, "Menu\n>>> No.\n>>> \n", "the server closed the connection\n");
}

#[test]
fn an_end_that_the_person_did_not_ask_for_is_a_failure() {
    let (result, _) = run(Wire::Json, "", |mut stream| {
        send(&mut stream, &framed(r#"{"seq":1,"input":true,"data":"Menu"}"#));
        send(&mut stream, &framed(r#"{"input":false,"data":"Too slow.","end":true,"notice":"idle"}"#));
        receive(&mut stream, "nothing");
    });
    result.at_once().is(Exit::Error, "Menu\n>>> \nToo slow.\n", "");
}

#[test]
fn an_answer_that_is_too_long_is_not_sent_and_the_prompt_is_shown_again() {
    let lines = format!("{}\n  7  \n", "9".repeat(65));
    let (result, received) = run(Wire::Raw, &lines, |mut stream| {
        send(&mut stream, MENU);
        let received = receive(&mut stream, "7");
        send(&mut stream, br#"{"input":false,"data":"Bye.","end":true}"#);
        received
    });
    result.is(Exit::Error, "Menu\n>>> >>> Bye.\n", "an answer has at most 64 bytes\n");
    assert_eq!(received, "7");
}

#[test]
fn messages_do_not_depend_on_how_the_stream_is_split() {
    let messages =
        [r#"{"input":false,"data":"{\"\\\ud83d\ude00}"}"#, r#"{"seq":1,"input":true,"data":"Menu é"}"#];
    let framed: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
    let raw = messages.concat().replace(r#""seq":1,"#, "").into_bytes();
    for (wire, stream) in [(Wire::Json, framed), (Wire::Raw, raw)] {
        for cut in [1, 2, 5, 7, stream.len()] {
            let stream = stream.clone();
            let (result, _) = run(wire, "", move |mut to| {
                to.set_nodelay(true).unwrap();
                stream.chunks(cut).for_each(|piece| {
                    send(&mut to, piece);
                    thread::yield_now();
                });
            });
            result.is(Exit::Error, "{\"\\😀}\nMenu é\n>>> \n", "the server closed the connection\n");
        }
    }
}

#[test]
fn a_server_that_speaks_another_wire_is_reported() {
    let message = |wire| {
        format!(
            "the server does not speak the {wire} wire: both sides need the same --wire, and both or neither TLS\n"
        )
    };
    let menu = r#"{"seq":1,"input":true,"data":"Menu"}"#;
    let postcard = [5, 2, 2, 1, 1, 3, 2, 3, 1, 3, 0x90, 0x4e, 5, 0xb0, 0x27, 0xd9, 0xb5, 0].to_vec();
    for (wire, sent) in [
        (Wire::Json, menu.as_bytes().to_vec()),
        (Wire::Json, postcard.clone()),
        (Wire::Raw, framed(menu)),
        (Wire::Raw, postcard),
        (Wire::Postcard, framed(menu)),
        (Wire::Postcard, br#"{"input":true,"data":"Menu"}"#.to_vec()),
        (Wire::Postcard, b"SSH-2.0-OpenSSH_9.7\r\n".to_vec()),
    ] {
        let (result, _) = run(wire, "", move |mut stream| {
            send(&mut stream, &sent);
            receive(&mut stream, "nothing");
        });
        result.at_once().is(Exit::Error, "", &message(wire));
    }
}

#[test]
fn plain_text_is_shown_with_control_characters_escaped() {
    let (result, _) = run(Wire::Raw, "", |mut stream| {
        send(&mut stream, b"hello \x1b[2J{there}\n");
        send(&mut stream, br#"{"input":false,"data":"\u001b]0;x\u0007\u009b\n\ud83d\ude00"}"#);
    });
    let out = "hello \\u{1b}[2J{there}\n\\u{1b}]0;x\\u{7}\\u{9b}\n😀\n";
    result.is(Exit::Error, out, "the server closed the connection\n");
}

/// An output that discards so many bytes and then fails.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a REPL at a server that sends without end.
fn run_flooded(lines: &'static str, out: &mut Count) -> Exit {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        send(&mut stream, MENU);
        while stream.write_all(b"and so on, {\"and so on").is_ok() {}
    });
    let mut link =
        Link::open(&Options { wire: Wire::Raw, ..Options::new(Target::Tcp(vec![address])) }).unwrap();
    let mut console = Console::reading(lines.as_bytes(), link.wake()).unwrap();
    let code = run_repl(&mut link, &mut console, PipeOptions::default(), out, &mut io::sink());
    drop(link);
    serving.join().unwrap();
    code
}

#[test]
fn exit_works_while_the_server_sends_without_end() {
    let start = Moment::now();
    assert_eq!(run_flooded("exit\n", &mut Count(usize::MAX)), Exit::Done);
    assert!(start.elapsed() < time::Duration::from_secs(10));
}

#[test]
fn a_closed_output_ends_the_repl() {
    assert_eq!(run_flooded("", &mut Count(10_000)), Exit::Error);
}

#[cfg(unix)]
#[test]
fn a_serial_link_that_is_down_is_reported_once_and_exit_still_works() {
    let (_port, loopback) = Port::loopback().unwrap();
    let options = Options::new(Target::Serial { path: loopback.path, baud: 4_000_000 });
    let result = run_with(&options, "1\nexit\n");
    let err = "link down: waiting for a server with --wire postcard (exit leaves)\nnot sent: the link is down (exit leaves)\n";
    result.is(Exit::Done, ">>> >>> ", err);
}

mod hostile;
mod named;
