//! Stop handle: wakes the event loop from any thread, and makes it stop.
use crate::log::SERVER;
use mio::Waker;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tracing::error;

/// Stops a running [`Server`](super::Server) from any thread.
#[derive(Clone, Debug)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stop {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self { requested: Arc::default(), waker }
    }

    /// Makes [`Server::run`](super::Server::run) send a goodbye to open sessions and return.
    pub fn stop(&self) {
        self.requested.store(true, Ordering::Release);
        wake(&self.waker);
    }

    /// What wakes the event loop.
    #[cfg(feature = "postgres")]
    pub(super) fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    pub(super) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }
}

fn wake(waker: &Waker) {
    if let Err(error) = waker.wake() {
        error!(target: SERVER, %error, "the event loop could not be woken");
    }
}
