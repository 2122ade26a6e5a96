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

/// What became of a talk.
struct Told {
    code: ExitCode,
    out: String,
    err: String,
    time: time::Duration,
}

impl Told {
    /// Checks the exit code and both outputs.
    fn is(&self, code: ExitCode, out: &str, err: &str) {
        assert_eq!((self.code, self.out.as_str(), self.err.as_str()), (code, out, err));
    }

    fn at_once(self) -> Self {
        assert!(self.time < time::Duration::from_secs(2), "{:?}", self.time);
        self
    }
}

/// Lets somebody who types `lines`, and nothing more, talk to a server that does `serve` with the connection.
fn told<T: Send + 'static>(
    wire: Wire,
    lines: &str,
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (Told, T) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || serve(listener.accept().unwrap().0));
    let told = told_by(&Options { wire, ..Options::new(Target::Tcp(address)) }, lines);
    (told, serving.join().unwrap())
}

fn told_by(options: &Options, lines: &str) -> Told {
    let mut link = Link::open(options).unwrap();
    // The writer is held: the lines do not end, there are only no more for now.
    let (reader, _writer) = pipe().unwrap();
    let source = BufReader::new(Cursor::new(lines.to_owned()).chain(reader));
    let mut console = Console::reading(source, link.wake()).unwrap();
    console.live = true;
    let (mut out, mut err, start) = (Vec::new(), Vec::new(), Moment::now());
    let code = run_repl(&mut link, &mut console, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Told { code, out: text(out), err: text(err), time: start.elapsed() }
}

fn say(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
}

/// What comes until there is `expected` in it, or the end.
fn hear(stream: &mut TcpStream, expected: &str) -> String {
    let (mut all, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&all).contains(expected) && stream.read(&mut byte).unwrap() > 0 {
        all.extend(byte);
    }
    String::from_utf8(all).unwrap()
}

/// A message of the `json` wire.
fn framed(body: &str) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes(), body.as_bytes()].concat()
}

#[test]
fn lines_of_a_pipe_are_a_whole_session_on_every_wire() {
    for (_, wire) in Wire::ALL {
        let server = server::Server::bind("127.0.0.1:0", server::Config::new(*wire)).unwrap();
        let (address, stop) = (server.local_addr(), server.stop_handle());
        let serving = thread::spawn(move || server.run());
        let options = Options { wire: *wire, ..Options::new(Target::Tcp(address.to_string())) };
        let mut link = Link::open(&options).unwrap();
        let mut console = Console::reading(b"1\n40\n\n3\n".as_slice(), link.wake()).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(run_repl(&mut link, &mut console, &mut out, &mut err), ExitCode::SUCCESS);
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<_> =
            out.lines().filter(|line| line.contains(['$', '>']) || line.ends_with('.')).collect();
        let told = ["Amount deposited: $40. Your balance is $140.", "Your balance is $140.", "Goodbye."];
        assert!(told.iter().all(|told| lines.contains(told)), "{out}");
        assert_eq!(out.matches(">>> \n").count(), 5, "{out}");
        assert_eq!(err, b"");
        drop(link);
        stop.stop();
        serving.join().unwrap().unwrap();
    }
}

#[test]
fn exit_in_any_case_does_not_need_the_server() {
    let (told, heard) = told(Wire::Raw, " ExIt \n", |mut stream| {
        say(&mut stream, MENU);
        hear(&mut stream, "nothing more than that")
    });
    told.is(ExitCode::SUCCESS, "Menu\n>>> \n", "");
    assert!(told.time >= time::Duration::from_secs(2), "it waits for the goodbye");
    assert_eq!(heard, "exit");
}

#[test]
fn the_goodbye_is_shown_and_ends_the_wait() {
    let (told, _) = told(Wire::Raw, "exit\n", |mut stream| {
        say(&mut stream, MENU);
        hear(&mut stream, "exit");
        say(&mut stream, br#"{"input":false,"data":"Goodbye."}"#);
    });
    told.at_once().is(ExitCode::SUCCESS, "Menu\n>>> \nGoodbye.\n", "");
}

#[test]
fn a_server_that_goes_away_at_the_prompt_is_noticed_at_once() {
    let (told, _) = told(Wire::Raw, "", |mut stream| {
        say(&mut stream, MENU);
        stream.shutdown(Shutdown::Both).unwrap();
    });
    told.at_once().is(ExitCode::FAILURE, "Menu\n>>> \n", "the server closed the connection\n");
}

#[test]
fn where_an_answer_was_out_nobody_knows_what_became_of_it() {
    for (wire, menu) in
        [(Wire::Raw, MENU.to_vec()), (Wire::Json, framed(r#"{"seq":1,"input":true,"data":"Menu"}"#))]
    {
        let (told, _) = told(wire, "40\n", move |mut stream| {
            say(&mut stream, &menu);
            hear(&mut stream, "40");
            // In the middle of its reply.
            say(&mut stream, menu.get(..9).unwrap());
        });
        let err = "the server closed the connection\nunknown: check the balance\n";
        assert_eq!((told.code, told.err.as_str()), (ExitCode::FAILURE, err), "{wire}");
    }
}

#[test]
fn quit_that_is_permitted_succeeds_and_one_that_is_refused_changes_nothing() {
    let (permitted, _) = told(Wire::Raw, "quit\n", |mut stream| {
        say(&mut stream, MENU);
        hear(&mut stream, "quit");
    });
    permitted.at_once().is(ExitCode::SUCCESS, "Menu\n>>> \n", "");
    let (refused, _) = told(Wire::Raw, "QUIT\n", |mut stream| {
        say(&mut stream, MENU);
        hear(&mut stream, "QUIT");
        say(&mut stream, br#"{"input":true,"data":"No."}"#);
    });
    refused.is(ExitCode::FAILURE, "Menu\n>>> \nNo.\n>>> \n", "the server closed the connection\n");
}

#[test]
fn an_end_that_nobody_asked_for_is_a_failure() {
    let (told, _) = told(Wire::Json, "", |mut stream| {
        say(&mut stream, &framed(r#"{"seq":1,"input":true,"data":"Menu"}"#));
        say(&mut stream, &framed(r#"{"input":false,"data":"Too slow.","end":true,"notice":"idle"}"#));
        hear(&mut stream, "nothing");
    });
    told.at_once().is(ExitCode::FAILURE, "Menu\n>>> \nToo slow.\n", "");
}

#[test]
fn what_is_no_answer_is_asked_for_again_and_not_sent() {
    let lines = format!("{}\n  7  \n", "9".repeat(65));
    let (told, heard) = told(Wire::Raw, &lines, |mut stream| {
        say(&mut stream, MENU);
        let heard = hear(&mut stream, "7");
        say(&mut stream, br#"{"input":false,"data":"Bye.","end":true}"#);
        heard
    });
    told.is(ExitCode::FAILURE, "Menu\n>>> \n>>> \nBye.\n", "an answer has at most 64 bytes\n");
    assert_eq!(heard, "7");
}

#[test]
fn however_the_stream_is_cut_the_conversation_is_the_same() {
    let messages =
        [r#"{"input":false,"data":"{\"\\\ud83d\ude00}"}"#, r#"{"seq":1,"input":true,"data":"Menu é"}"#];
    let framed: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
    let raw = messages.concat().replace(r#""seq":1,"#, "").into_bytes();
    for (wire, stream) in [(Wire::Json, framed), (Wire::Raw, raw)] {
        for cut in [1, 2, 5, 7, stream.len()] {
            let stream = stream.clone();
            let (told, _) = told(wire, "", move |mut to| {
                to.set_nodelay(true).unwrap();
                stream.chunks(cut).for_each(|piece| {
                    say(&mut to, piece);
                    thread::yield_now();
                });
            });
            told.is(ExitCode::FAILURE, "{\"\\😀}\nMenu é\n>>> \n", "the server closed the connection\n");
        }
    }
}

#[test]
fn another_wire_is_told_as_such() {
    let message = |wire| {
        format!("what the server sends is not the {wire} wire: check that both sides use the same --wire\n")
    };
    let menu = r#"{"seq":1,"input":true,"data":"Menu"}"#;
    let postcard = [5, 2, 2, 1, 1, 3, 2, 3, 1, 3, 0x90, 0x4e, 5, 0xb0, 0x27, 0xd9, 0xb5, 0].to_vec();
    for (wire, sent) in [
        (Wire::Json, menu.as_bytes().to_vec()),
        (Wire::Json, postcard.clone()),
        (Wire::Raw, framed(menu)),
        (Wire::Raw, postcard),
        (Wire::Postcard, [framed(menu), framed(menu)].concat()),
    ] {
        let (told, _) = told(wire, "", move |mut stream| {
            say(&mut stream, &sent);
            hear(&mut stream, "nothing");
        });
        told.at_once().is(ExitCode::FAILURE, "", &message(wire));
    }
}

#[test]
fn text_that_is_no_message_is_shown_and_cannot_drive_the_terminal() {
    let (told, _) = told(Wire::Raw, "", |mut stream| {
        say(&mut stream, b"hello \x1b[2J{there}\n");
        say(&mut stream, br#"{"input":false,"data":"\u001b]0;x\u0007\u009b\n\ud83d\ude00"}"#);
    });
    let out = "hello \\u{1b}[2J{there}\n\\u{1b}]0;x\\u{7}\\u{9b}\n😀\n";
    told.is(ExitCode::FAILURE, out, "the server closed the connection\n");
}

/// An output that only counts, until it breaks.
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

/// Talks to a server that never stops talking.
fn flooded(lines: &'static str, out: &mut Count) -> ExitCode {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        say(&mut stream, MENU);
        while stream.write_all(b"and so on, {\"and so on").is_ok() {}
    });
    let mut link = Link::open(&Options { wire: Wire::Raw, ..Options::new(Target::Tcp(address)) }).unwrap();
    let mut console = Console::reading(lines.as_bytes(), link.wake()).unwrap();
    let code = run_repl(&mut link, &mut console, out, &mut io::sink());
    drop(link);
    serving.join().unwrap();
    code
}

#[test]
fn exit_gets_through_to_a_server_that_never_stops_talking() {
    let start = Moment::now();
    assert_eq!(flooded("exit\n", &mut Count(usize::MAX)), ExitCode::SUCCESS);
    assert!(start.elapsed() < time::Duration::from_secs(10));
}

#[test]
fn a_closed_output_ends_the_talk() {
    assert_eq!(flooded("", &mut Count(10_000)), ExitCode::FAILURE);
}

#[cfg(unix)]
#[test]
fn a_serial_line_that_is_down_is_told_once_and_exit_still_works() {
    let (_port, loopback) = Port::loopback().unwrap();
    let options = Options::new(Target::Serial { path: loopback.path, baud: 4_000_000 });
    let told = told_by(&options, "1\nexit\n");
    let err = "line down: still trying (exit leaves)\nthis was not sent: the line is down (exit leaves)\n";
    told.is(ExitCode::SUCCESS, ">>> \n>>> \n", err);
}

mod named;
