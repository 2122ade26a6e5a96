//! Script: the lines of a pipe, what became of them, and when the remaining ones must not be sent, because an answer failed that
//! they rely on.
use super::super::event::ReceivedMessage;
use crate::exit::Exit;
use atm_core::{screen::Failure, terminal::Prompt};

/// The state of a pipe's answers. A refusal does not stop the script: its author could foresee it. An operation that was
/// not done because the link was lost could not be foreseen, and the host is then at the menu, where the remaining lines
/// would mean something else.
#[derive(Debug)]
pub(super) struct Script {
    /// Whether the terminal says hello, after which each reply has a number.
    says_hello: bool,
    greeted: bool,
    /// The answer that has no reply yet, and the prompt that it answers.
    unanswered: Option<(Prompt, String)>,
    /// The ledger was set back since the last message.
    set_back: bool,
    /// What the welcome said about a request of an earlier start, until a line is sent.
    earlier: Option<Failure>,
    /// Was a line refused, or not sent?
    refused: bool,
}

/// Why a script stops, and with which exit code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) exit: Exit,
    pub(super) reason: String,
}

impl Script {
    pub(super) fn new(says_hello: bool) -> Self {
        Self { says_hello, greeted: false, unanswered: None, set_back: false, earlier: None, refused: false }
    }

    /// Notes an answer that was sent.
    pub(super) fn on_answer(&mut self, prompt: Prompt, answer: &str) {
        self.earlier = None;
        self.unanswered = Some((prompt, answer.to_owned()));
    }

    /// Notes a line that could not be sent.
    pub(super) fn on_not_sent(&mut self) {
        self.refused = true;
    }

    /// The answer that has no reply.
    pub(super) fn unanswered(&self) -> Option<&str> {
        self.unanswered.as_ref().map(|(_, answer)| answer.as_str())
    }

    /// Notes that the ledger was set back: whatever it reports about the answer, it has lost what was done before.
    pub(super) fn on_ledger_set_back(&mut self) {
        self.set_back = true;
    }

    /// The exit code at the end of the lines: whether all were done. Without a line, what became of the request before this
    /// start, if the host reported that.
    pub(super) fn exit(&self) -> Exit {
        if self.refused { Exit::Refused } else { self.earlier.map_or(Exit::Done, Exit::from) }
    }

    /// Checks a message of the host; returns the reason to stop, if it is one.
    pub(super) fn on_message(&mut self, message: &ReceivedMessage) -> Option<Stop> {
        let is_reply = match self.says_hello {
            true => message.seq.is_some(),
            // A host without numbers may reply in several messages, up to the prompt.
            false => message.prompt.is_some() || message.failure.is_some(),
        };
        if !is_reply {
            return None;
        }
        let first = !std::mem::replace(&mut self.greeted, true);
        let set_back = std::mem::take(&mut self.set_back);
        let Some((prompt, answer)) = self.unanswered.take() else {
            if first {
                self.earlier = if set_back { Some(Failure::Unknown) } else { message.failure };
            }
            let exit = if set_back { Exit::Unknown } else { Exit::Error };
            let reason =
                "stopped: a new session began, and the remaining lines were meant for the previous one";
            return (self.says_hello && !first).then(|| Stop { exit, reason: reason.to_owned() });
        };
        let lost = self.says_hello && (set_back || message.re != prompt);
        let failure = if lost { Failure::Unknown } else { message.failure? };
        let problem = match failure {
            Failure::Unknown => "its outcome is unknown",
            Failure::NotDone => "it was not done",
            Failure::Refused if message.welcome => "it was refused, and the link was lost in between",
            Failure::Refused => {
                self.refused = true;
                return None;
            }
        };
        let reason = format!("stopped at the answer {answer:?}: {problem}");
        Some(Stop { exit: failure.into(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(seq: u64, re: Option<u64>, welcome: bool, failure: Option<Failure>) -> ReceivedMessage {
        ReceivedMessage {
            text: String::new(),
            prompt: Some(Some(seq)),
            ends: false,
            welcome,
            outcome: None,
            failure,
            notice: None,
            seq: Some(seq),
            re,
            plain: false,
        }
    }

    const REFUSED: Option<Failure> = Some(Failure::Refused);
    const NOT_DONE: Option<Failure> = Some(Failure::NotDone);
    const UNKNOWN: Option<Failure> = Some(Failure::Unknown);

    fn stop(exit: Exit, problem: &str) -> Option<Stop> {
        Some(Stop { exit, reason: format!("stopped at the answer \"40\": {problem}") })
    }

    #[test]
    fn an_operation_not_done_stops_a_script_and_a_plain_refusal_does_not() {
        for (reply, stopped) in [
            (message(8, Some(7), false, None), None),
            (message(8, Some(7), true, None), None),
            (message(8, Some(7), false, REFUSED), None),
            (
                message(8, Some(7), true, REFUSED),
                stop(Exit::Refused, "it was refused, and the link was lost in between"),
            ),
            (message(8, Some(7), true, NOT_DONE), stop(Exit::NotDone, "it was not done")),
            (message(1, Some(7), true, UNKNOWN), stop(Exit::Unknown, "its outcome is unknown")),
            (message(8, None, true, None), stop(Exit::Unknown, "its outcome is unknown")),
        ] {
            let mut script = Script::new(true);
            // The outcome of an answer before this start is not one of the script's.
            assert_eq!(script.on_message(&message(7, Some(3), true, NOT_DONE)), None);
            script.on_answer(Some(7), "40");
            assert_eq!(script.on_message(&reply), stopped, "{reply:?}");
        }
        let mut script = Script::new(true);
        script.on_ledger_set_back();
        assert_eq!(script.on_message(&message(7, Some(9), true, UNKNOWN)), None, "no answer of the script");
        script.on_answer(Some(7), "40");
        script.on_ledger_set_back();
        let unknown = stop(Exit::Unknown, "its outcome is unknown");
        assert_eq!(script.on_message(&message(4, Some(7), true, None)), unknown);
    }

    #[test]
    fn a_new_session_stops_a_script() {
        for set_back in [false, true] {
            let mut script = Script::new(true);
            assert_eq!(script.on_message(&message(7, None, true, None)), None);
            if set_back {
                script.on_ledger_set_back();
            }
            let stopped = script.on_message(&message(9, None, true, None)).unwrap();
            assert!(stopped.reason.contains("a new session began"), "{stopped:?}");
            assert_eq!(stopped.exit, if set_back { Exit::Unknown } else { Exit::Error });
        }
    }

    #[test]
    fn the_exit_code_at_the_end_is_that_of_the_lines_or_of_the_request_before() {
        // What the welcome reported, the failures of the lines' replies, the exit code.
        for (earlier, replies, exit) in [
            (None, &[][..], Exit::Done),
            (NOT_DONE, &[], Exit::NotDone),
            (UNKNOWN, &[], Exit::Unknown),
            (REFUSED, &[], Exit::Refused),
            (UNKNOWN, &[None], Exit::Done),
            (None, &[REFUSED], Exit::Refused),
            (NOT_DONE, &[None, REFUSED, None], Exit::Refused),
        ] {
            let mut script = Script::new(true);
            script.on_message(&message(7, None, true, earlier));
            for (seq, failure) in (8..).zip(replies) {
                script.on_answer(Some(seq - 1), "40");
                assert_eq!(script.on_message(&message(seq, Some(seq - 1), false, *failure)), None);
            }
            assert_eq!(script.exit(), exit, "{earlier:?} {replies:?}");
        }
        let mut script = Script::new(true);
        script.on_not_sent();
        assert_eq!(script.exit(), Exit::Refused);
        let mut script = Script::new(true);
        script.on_ledger_set_back();
        script.on_message(&message(7, None, true, None));
        assert_eq!(script.exit(), Exit::Unknown);
    }

    #[test]
    fn without_numbers_a_failure_counts_before_the_prompt() {
        let plain = |prompt: Option<Prompt>, failure| ReceivedMessage {
            prompt,
            seq: None,
            ..message(0, None, false, failure)
        };
        let mut script = Script::new(false);
        assert_eq!(script.on_message(&plain(Some(None), None)), None);
        script.on_answer(None, "40");
        assert_eq!(script.on_message(&plain(None, None)), None);
        assert_eq!(script.unanswered(), Some("40"));
        assert_eq!(script.on_message(&plain(None, REFUSED)), None);
        assert_eq!((script.unanswered(), script.exit()), (None, Exit::Refused));
        assert_eq!(script.on_message(&plain(Some(None), None)), None, "the prompt again");
        script.on_answer(None, "40");
        let unknown = stop(Exit::Unknown, "its outcome is unknown");
        assert_eq!(script.on_message(&plain(Some(None), UNKNOWN)), unknown);
    }
}
