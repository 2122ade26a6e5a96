//! What a message of the host means to a terminal.
use super::{Memory, Signal, State, Terminal};
use crate::{
    frame::Decoded,
    message::{Fault, Notice, Welcome},
    time::Instant,
};

/// What is to be done with the frame that is held.
pub(super) enum Verdict {
    Nothing,
    Skip,
    Show,
    Fault(Fault),
    Broken(Fault),
}

/// What of a message decides what it means.
struct Heading {
    seq: Option<u64>,
    re: Option<u64>,
    prompt: bool,
    ends: bool,
    welcome: Option<Welcome>,
    notice: Option<Notice>,
}

impl<const IN: usize, const OUT: usize> Terminal<IN, OUT> {
    /// Decides about the frame that is held, and takes the step that it means.
    pub(super) fn judge(&mut self, now: Instant) -> Verdict {
        let (found, body) = self.inbox.decoded();
        let numbered = self.config.wire.is_numbered();
        let said = match found {
            Decoded::More => return Verdict::Nothing,
            Decoded::Plain => return Verdict::Show,
            Decoded::Broken(fault) => return Verdict::Broken(fault),
            Decoded::Fault(fault) if self.config.wire.discards(fault) => return Verdict::Skip,
            Decoded::Fault(fault) => return Verdict::Fault(fault),
            Decoded::Frame => match self.config.wire.read_host(body) {
                Ok(Some(said)) => said,
                Ok(None) if numbered => return Verdict::Skip,
                Err(fault) if numbered => return Verdict::Fault(fault),
                // An object that is no message is text like any other.
                Ok(None) | Err(_) => return Verdict::Show,
            },
        };
        let heading = Heading {
            seq: said.seq,
            re: said.re,
            prompt: said.prompt,
            ends: said.ends,
            welcome: said.welcome,
            notice: said.notice,
        };
        self.hear(now);
        match heading.notice {
            Some(notice) => self.on_notice(notice, now),
            None => self.on_reply(&heading, now),
        }
    }

    fn on_notice(&mut self, notice: Notice, now: Instant) -> Verdict {
        let mine = |start, attempt| {
            self.config.profile.as_ref().is_some_and(|profile| profile.start == start)
                && self.attempt == attempt
        };
        match notice {
            _ if self.state == State::Over => Verdict::Skip,
            Notice::Working { re } => {
                // It will come: there is no need to ask again soon.
                self.begin_to_wait(now);
                if re.is_some() && re == self.memory.pending {
                    self.answered = now;
                }
                Verdict::Skip
            }
            Notice::Who if self.config.profile.is_some() => {
                if self.state != State::Hello {
                    self.say_hello(now);
                }
                Verdict::Skip
            }
            Notice::TakenOver { start, attempt } | Notice::NameInUse { start, attempt }
                if !mine(start, attempt) =>
            {
                Verdict::Skip
            }
            // The hello will never be served.
            Notice::Fault(Fault::Version | Fault::BadName) if self.state == State::Hello => self.over(),
            // It is about something that was garbled, late or there twice: what has no reply is repeated anyway.
            Notice::Fault(_) if self.config.retransmit.is_some() => Verdict::Skip,
            Notice::Fault(_) => {
                self.refused = true;
                Verdict::Show
            }
            notice if notice.ends() => self.over(),
            _ => Verdict::Show,
        }
    }

    fn over(&mut self) -> Verdict {
        self.state = State::Over;
        self.stop_waiting();
        Verdict::Show
    }

    fn on_reply(&mut self, said: &Heading, now: Instant) -> Verdict {
        if self.state == State::Over {
            return Verdict::Skip;
        }
        let Some(seq) = said.seq else {
            // A host without numbers: what it says is shown, and its last prompt is open.
            if said.ends {
                return self.over();
            }
            if said.prompt {
                self.stop_waiting();
                self.state = State::Open(None);
                self.answer = None;
            }
            return Verdict::Show;
        };
        match self.state {
            State::Hello => match said.welcome.filter(|welcome| self.is_mine(welcome)) {
                Some(welcome) => self.welcomed(welcome, seq, said, now),
                // The greeting of a host that has not read the hello, or a reply of an earlier life.
                None => Verdict::Skip,
            },
            State::Greeted => self.show(seq, said),
            State::Waiting(Some(pending)) if said.re == Some(pending) && seq > self.memory.shown => {
                self.show(seq, said)
            }
            // After a fault the host asks again. Where the line loses nothing, the fault was about this answer, which is
            // void then. Without a fault it is a copy that some relay has made.
            State::Waiting(Some(pending)) if seq == pending && self.refused => self.show(seq, said),
            _ => Verdict::Skip,
        }
    }

    fn is_mine(&self, welcome: &Welcome) -> bool {
        let start = self.config.profile.as_ref().map_or(0, |profile| profile.start);
        welcome.start == start && welcome.attempt == self.attempt
    }

    /// The host has read the hello: what has it to say of what the terminal knows?
    fn welcomed(&mut self, welcome: Welcome, seq: u64, said: &Heading, now: Instant) -> Verdict {
        self.resume = true;
        if welcome.ledger != self.memory.ledger {
            // Numbers of another ledger say nothing about this one's.
            self.memory = Memory { ledger: welcome.ledger, shown: 0, pending: None };
            return self.show(seq, said);
        }
        if self.memory.pending == Some(seq) && self.answer.is_some() {
            // The prompt is still open: the answer has not come. It is sent again, and no other in its place.
            self.state = State::Waiting(Some(seq));
            self.begin_to_wait(now);
            self.send();
            return Verdict::Skip;
        }
        if seq <= self.memory.shown {
            // The prompt that was open before is open again.
            self.stop_waiting();
            self.state = if said.prompt { State::Open(Some(seq)) } else { State::Over };
            return Verdict::Skip;
        }
        self.show(seq, said)
    }

    /// Shows a reply and opens its prompt.
    fn show(&mut self, seq: u64, said: &Heading) -> Verdict {
        self.memory.shown = self.memory.shown.max(seq);
        self.stop_waiting();
        self.memory.pending = None;
        self.answer = None;
        if said.prompt {
            self.state = State::Open(Some(seq));
        } else if said.ends {
            self.state = State::Over;
        }
        Verdict::Show
    }

    fn hear(&mut self, now: Instant) {
        self.heard = now;
        if core::mem::take(&mut self.down) {
            self.signal = Some(Signal::Up);
        }
    }
}
