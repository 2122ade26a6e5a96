//! The state of a terminal's session, and what its driver asks about it.
use super::{Memory, Prompt, Terminal};
use crate::{message::Fault, wire::Counters};

/// The state of the session, as the terminal knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum TerminalState {
    /// It sends no hello and waits for the host's greeting; or it has reported a ledger that was set back, and
    /// handles the welcome once more.
    AwaitGreeting,
    /// It has said hello and waits for the welcome.
    AwaitWelcome {
        /// The hello asks to resume.
        resume: bool,
    },
    /// A prompt is open.
    PromptOpen(Prompt),
    /// The prompt was answered, and its reply is awaited.
    AwaitReply(Prompt),
    /// The host has no room on this connection: the session may be resumed on another one.
    TurnedAway,
    /// The session is over.
    Over,
}

/// An event that `poll_event` reports before it handles the next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PendingEvent {
    LinkDown,
    LinkUp,
    Broken(Fault),
    #[cfg(feature = "cards")]
    Idle,
}

impl<const IN: usize, const OUT: usize> Terminal<IN, OUT> {
    /// The state that must survive a loss of power: [`Profile::memory`](super::Profile::memory) of the next start.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// The open prompt, to pass to [`answer`](Self::answer).
    pub fn prompt(&self) -> Option<Prompt> {
        match self.state {
            TerminalState::PromptOpen(prompt) => Some(prompt),
            _ => None,
        }
    }

    /// Whether an answer has no reply yet. At a disconnect its outcome is unknown to the person.
    pub fn is_awaiting_reply(&self) -> bool {
        matches!(self.state, TerminalState::AwaitReply(_)) || self.memory.pending.is_some()
    }

    /// Whether the host's greeting or welcome is awaited.
    pub fn is_handshaking(&self) -> bool {
        matches!(self.state, TerminalState::AwaitGreeting | TerminalState::AwaitWelcome { .. })
    }

    /// Whether a hello of this life was welcomed under its key: the next cold start then steps the [key](crate::seal::TerminalKey).
    #[cfg(feature = "seal")]
    pub fn was_welcomed(&self) -> bool {
        self.welcomed
    }

    /// Whether the host has turned this connection away with `busy`: a named terminal closes it, and tries another one after a
    /// while by [`reconnect`](Self::reconnect), which asks to resume the session.
    pub fn is_turned_away(&self) -> bool {
        self.state == TerminalState::TurnedAway
    }

    /// Whether the session is over. [`reconnect`](Self::reconnect) starts another.
    pub fn is_over(&self) -> bool {
        self.state == TerminalState::Over
    }
    /// Frames received since the link was opened, or since [`take_counters`](Self::take_counters).
    pub fn counters(&self) -> Counters {
        self.inbox.counters()
    }

    /// Returns the counters and resets them to zero.
    pub fn take_counters(&mut self) -> Counters {
        self.inbox.take_counters()
    }
}
