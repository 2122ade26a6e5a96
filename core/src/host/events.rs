//! The host's events: what its driver must do next, each reported once.
use super::{Conversation, Event, Host};
use crate::ledger::Request;

impl<const IN: usize, const OUT: usize> Host<IN, OUT> {
    /// The next thing that the driver must do, as in the [run loop](super#the-run-loop); `None` until another
    /// call changes the endpoint.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.take_quit() {
            return Some(Event::Quit);
        }
        #[cfg(feature = "seal")]
        if self.report_key
            && let Some(request) = self.take_key_request()
        {
            return Some(Event::Key(request));
        }
        if self.take_hello_report() {
            return self.incoming_hello.as_ref().and_then(|hello| hello.terminal.clone()).map(Event::Hello);
        }
        self.take_request().map(Event::Request)
    }

    // The events one by one, for a kiosk: an `Event` is moved several times on its way out of `poll_event`.

    /// Whether `quit` is to be reported, once.
    pub(crate) fn take_quit(&mut self) -> bool {
        core::mem::take(&mut self.report_quit)
    }

    /// Whether the incoming hello is to be reported, once.
    pub(crate) fn take_hello_report(&mut self) -> bool {
        core::mem::take(&mut self.report_hello)
    }

    /// The outstanding request, once.
    pub(crate) fn take_request(&mut self) -> Option<Request> {
        self.conversation.as_mut().and_then(Conversation::take_request)
    }

    /// Emits the outstanding request once more, as the next event, because the ledger could not take it or is
    /// in doubt.
    pub fn retry_request(&mut self) {
        if let Some(conversation) = &mut self.conversation {
            conversation.retry_request();
        }
    }

    /// Whether `poll_event` has something to report.
    pub(crate) fn has_event(&self) -> bool {
        #[cfg(feature = "seal")]
        if self.report_key {
            return true;
        }
        self.report_quit
            || self.report_hello
            || self.conversation.as_ref().is_some_and(Conversation::has_request)
    }
}
