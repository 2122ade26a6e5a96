//! A man in the middle of TCP connections of the `postcard` wire: records every frame; forwards, drops, changes, holds back,
//! replays and injects them as its rule says. It has no key.
use crate::{
    TIMEOUT,
    frames::{FrameReader, postcard_frame},
};
use std::{
    fmt,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the terminal to the host.
    Up,
    /// From the host to the terminal.
    Down,
}

impl Direction {
    /// The other direction.
    pub fn reverse(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// A frame that came to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The connection, in the order in which terminals connected, from 0.
    pub connection: usize,
    /// Where it was going.
    pub direction: Direction,
    /// Its body, without the checksum.
    pub body: Vec<u8>,
}

impl Frame {
    /// The frame as it goes on.
    pub fn forward(&self) -> Vec<Self> {
        vec![self.clone()]
    }

    /// The same with another body.
    pub fn with_body(&self, body: Vec<u8>) -> Self {
        Self { body, ..self.clone() }
    }

    /// Back where it came from.
    pub fn reflected(&self) -> Self {
        Self { direction: self.direction.reverse(), ..self.clone() }
    }

    /// The same on another connection.
    pub fn on(&self, connection: usize) -> Self {
        Self { connection, ..self.clone() }
    }
}

/// The frames that are sent in place of one that came, in this order.
type Rule = Box<dyn FnMut(&Frame) -> Vec<Frame> + Send>;

struct State {
    target: SocketAddr,
    rule: Rule,
    recorded: Vec<Frame>,
    /// Both ends of each connection: the terminal's, the host's.
    ends: Vec<[TcpStream; 2]>,
    /// Whether the end of the host's stream is kept from the terminal.
    holds_open: bool,
}

/// The proxy. It ends with the process; its connections end with it or by [`cut`](Self::cut).
#[derive(Clone)]
pub struct FrameProxy {
    /// The address that terminals connect to.
    pub address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl fmt::Debug for FrameProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameProxy").field("address", &self.address).finish_non_exhaustive()
    }
}

impl FrameProxy {
    /// A proxy in front of `target` that forwards every frame.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            target,
            rule: Box::new(Frame::forward),
            recorded: Vec::new(),
            ends: Vec::new(),
            holds_open: false,
        };
        let proxy = Self { address, shared: Arc::new((Mutex::new(state), Condvar::new())) };
        let accepting = proxy.clone();
        thread::spawn(move || {
            for terminal in listener.incoming().map(Result::unwrap) {
                accepting.accept(terminal);
            }
        });
        proxy
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }

    fn accept(&self, terminal: TcpStream) {
        terminal.set_nodelay(true).unwrap();
        let mut state = self.lock();
        // Where no server listens, the terminal's connection ends at once.
        let Some(host) = connect(state.target) else { return };
        let connection = state.ends.len();
        state.ends.push([terminal.try_clone().unwrap(), host.try_clone().unwrap()]);
        drop(state);
        self.forward(terminal, connection, Direction::Up);
        self.forward(host, connection, Direction::Down);
    }

    /// Reads one direction in a thread of its own.
    fn forward(&self, mut from: TcpStream, connection: usize, direction: Direction) {
        let proxy = self.clone();
        thread::spawn(move || {
            let (mut reader, mut bytes) = (FrameReader::default(), [0; 4096]);
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                for body in reader.read(&bytes[..count]) {
                    proxy.pass(Frame { connection, direction, body });
                }
            }
            let state = proxy.lock();
            if direction == Direction::Up || !state.holds_open {
                for end in &state.ends[connection] {
                    // One side may have ended it.
                    let _ = end.shutdown(Shutdown::Both);
                }
            }
        });
    }

    fn pass(&self, frame: Frame) {
        let mut state = self.lock();
        let sent = (state.rule)(&frame);
        state.recorded.push(frame);
        sent.iter().for_each(|frame| state.send(frame));
        self.shared.1.notify_all();
    }

    /// From now on `rule` says what is sent in place of each frame. It may not use the proxy.
    pub fn set_rule(&self, rule: impl FnMut(&Frame) -> Vec<Frame> + Send + 'static) {
        self.lock().rule = Box::new(rule);
    }

    /// From now on every frame is forwarded as it is.
    pub fn forward_all(&self) {
        self.set_rule(Frame::forward);
    }

    /// From now on no frame is forwarded.
    pub fn drop_all(&self) {
        self.set_rule(|_| Vec::new());
    }

    /// From now on connections are made to this address.
    pub fn set_target(&self, target: SocketAddr) {
        self.lock().target = target;
    }

    /// From now on a terminal's connection stays open when the host's ends.
    pub fn hold_open(&self) {
        self.lock().holds_open = true;
    }

    /// Gives a connection of a terminal another one to the host.
    pub fn reconnect_host(&self, connection: usize) {
        let mut state = self.lock();
        let host = connect(state.target).expect("the server accepts the connection");
        state.ends[connection][1] = host.try_clone().unwrap();
        drop(state);
        self.forward(host, connection, Direction::Down);
    }

    /// Sends a frame, which may be recorded or forged; it is not recorded again.
    pub fn send(&self, frame: &Frame) {
        self.lock().send(frame);
    }

    /// Sends a body on the newest connection.
    pub fn inject(&self, direction: Direction, body: &[u8]) {
        let connection = self.connections() - 1;
        self.send(&Frame { connection, direction, body: body.to_vec() });
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.lock().ends.len()
    }

    /// Ends every connection at both sides.
    pub fn cut(&self) {
        for end in self.lock().ends.iter().flatten() {
            // One side may have ended it.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Every frame that came so far.
    pub fn recorded(&self) -> Vec<Frame> {
        self.lock().recorded.clone()
    }

    /// The bodies of one direction so far.
    pub fn bodies(&self, direction: Direction) -> Vec<Vec<u8>> {
        let of_direction = |frame: Frame| (frame.direction == direction).then_some(frame.body);
        self.recorded().into_iter().filter_map(of_direction).collect()
    }

    /// Waits until `found` returns something for the recorded frames.
    pub fn wait_until<T>(&self, found: impl Fn(&[Frame]) -> Option<T>) -> T {
        let until = Instant::now() + TIMEOUT;
        let mut state = self.lock();
        loop {
            if let Some(value) = found(&state.recorded) {
                return value;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(left > Duration::ZERO, "the expected frame has not come: {:?}", state.recorded);
            state = self.shared.1.wait_timeout(state, left).unwrap().0;
        }
    }
}

impl State {
    fn send(&mut self, frame: &Frame) {
        let [terminal, host] = &mut self.ends[frame.connection];
        let end = if frame.direction == Direction::Up { host } else { terminal };
        // The connection may have ended: then the frame is lost.
        let _ = end.write_all(&postcard_frame(&frame.body));
    }
}

fn connect(target: SocketAddr) -> Option<TcpStream> {
    let host = TcpStream::connect_timeout(&target, TIMEOUT).ok()?;
    host.set_nodelay(true).unwrap();
    Some(host)
}
