//! The link against several scripted servers: the next one is said hello to when one is gone.
use super::*;

const STOPPING: &str = r#"{"input":false,"data":"Stopping.","notice":"stopping","end":true}"#;

/// Two servers, in the order in which the terminal tries them.
struct Servers {
    options: Options,
    first: (TcpListener, String),
    second: (TcpListener, String),
}

impl Servers {
    fn start() -> Self {
        let mut servers = [(); 2].map(|()| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            (listener, address)
        });
        let target = Target::Tcp(servers.iter().map(|(_, address)| address.clone()).collect());
        let options = Options { target, ..named(String::new()) };
        if options.hosts().present() != servers[0].1 {
            servers.reverse();
        }
        let [first, second] = servers;
        Self { options, first, second }
    }
}

fn accept(listener: &TcpListener) -> (TcpStream, String) {
    let mut stream = listener.accept().unwrap().0;
    let hello = receive(&mut stream).unwrap();
    (stream, hello)
}

/// The reply `seq` to a hello, with the outcome of the answer to `re`.
fn outcome(hello: &str, seq: u64, re: u64) -> Vec<u8> {
    let welcome = String::from_utf8(welcome(hello, seq)[4..].to_vec()).unwrap();
    framed(&welcome.replace(r#""hello":1"#, &format!(r#""re":{re},"hello":1"#)))
}

#[test]
fn an_answer_without_a_reply_is_asked_for_at_the_next_host_and_not_sent_there() {
    let Servers { options, first: (first, from), second: (second, to) } = Servers::start();
    let mut link = Link::open(&options).unwrap();
    assert_eq!(link.take_move(), None);
    let serving = thread::spawn(move || {
        let (mut stream, hello) = accept(&first);
        stream.write_all(&welcome(&hello, 7)).unwrap();
        assert_eq!(number(&receive(&mut stream).unwrap(), "re"), 7);
        // The host is gone, and its machine refuses connections.
        drop((stream, first));
        let (mut stream, hello) = accept(&second);
        assert!(hello.contains(r#""pending":7"#) && hello.contains(r#""resume":true"#), "{hello}");
        stream.write_all(&outcome(&hello, 20, 7)).unwrap();
        receive(&mut stream)
    });
    let log = Log::default();
    let open = next_prompt(&mut link, &log);
    link.answer(open, "withdraw 40").unwrap();
    assert_eq!(next_prompt(&mut link, &log), Some(20));
    assert_eq!(*log.0.lock().unwrap(), ["shows 7", "ConnectionLost", "Reconnected", "shows 20"]);
    assert_eq!((link.take_move(), link.take_move()), (Some(Move { from, to }), None));
    assert!(!link.is_waiting());
    drop(link);
    assert_eq!(serving.join().unwrap(), None, "no answer without a prompt");
}

#[test]
fn a_host_that_stops_or_has_no_room_is_left_at_once() {
    for (notice, resumes) in [(STOPPING, false), (BUSY, true)] {
        let Servers { options, first: (first, _), second: (second, to) } = Servers::start();
        let mut link = Link::open(&options).unwrap();
        let serving = thread::spawn(move || {
            let (mut stream, hello) = accept(&first);
            stream.write_all(&welcome(&hello, 7)).unwrap();
            stream.write_all(&framed(notice)).unwrap();
            let (mut stream, hello) = accept(&second);
            assert_eq!(hello.contains(r#""resume":true"#), resumes, "{hello}");
            stream.write_all(&welcome(&hello, 20)).unwrap();
            // The first one still listens, and would take a connection.
            (stream, first)
        });
        let log = Log::default();
        assert_eq!(next_prompt(&mut link, &log), Some(7));
        let LinkEvent::Message(message) = link.next(None) else { panic!("no message") };
        assert!(message.notice.is_some() && !message.ends, "{message:?}");
        assert!(matches!(link.next(None), LinkEvent::ConnectionLost));
        let began = link.now();
        assert_eq!(next_prompt(&mut link, &log), Some(20));
        assert!(link.now() < began + Duration::from_millis(200), "it was waited for");
        assert_eq!(link.take_move().unwrap().to, to);
        drop((link, serving.join().unwrap()));
    }
}

#[test]
fn the_only_host_that_stops_ends_the_session() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut link = Link::open(&named(listener.local_addr().unwrap().to_string())).unwrap();
    let mut stream = listener.accept().unwrap().0;
    stream.write_all(&framed(STOPPING)).unwrap();
    assert!(matches!(link.next(None), LinkEvent::Message(message) if message.ends));
    drop((stream, listener));
    assert!(matches!(link.next(None), LinkEvent::Closed(_)));
}

#[test]
fn a_silent_host_is_left_and_the_first_host_of_the_list_that_is_open_is_reported() {
    let Servers { options, first: (first, from), second: (second, to) } = Servers::start();
    let mut link = Link::open(&options).unwrap();
    let serving = thread::spawn(move || {
        // It is accepted by the system, and nothing reads from it.
        let (mut stream, hello) = accept(&second);
        stream.write_all(&welcome(&hello, 7)).unwrap();
        (stream, second)
    });
    let log = Log::default();
    assert_eq!(next_prompt(&mut link, &log), Some(7));
    assert_eq!(*log.0.lock().unwrap(), ["ConnectionLost", "Reconnected", "shows 7"]);
    assert_eq!(link.take_move(), Some(Move { from: from.clone(), to: to.clone() }));
    drop((link, first));
    let link = Link::open(&options).unwrap();
    assert_eq!(link.moved, Some(Move { from, to }), "at the opening it is the first that accepts");
    drop((link, serving.join().unwrap()));
}
