//! Script: the lines of a pipe, their outcomes, and when the remaining ones must not be sent, because an answer failed that
//! they rely on.
use super::super::event::ReceivedMessage;
use crate::exit::Exit;
use atm_core::{screen::Failure, terminal::Prompt};

/// The state of a pipe's answers. A refusal leaves a prompt open, which the next line would answer in place of the one that it
/// was meant for. Where an operation was not done because the link was lost, the host is at the menu, where the remaining
/// lines would mean something else.
#[derive(Debug)]
pub(super) struct Script {
    /// Whether the terminal says hello, after which each reply has a number.
    says_hello: bool,
    /// Whether lines go on after one that was refused or not sent.
    keep_going: bool,
    greeted: bool,
    /// The number of the line that was read last, from 1.
    line: u64,
    /// The answer that has no reply yet, if it may be shown, and the prompt that it answers.
    unanswered: Option<(Prompt, Option<String>)>,
    /// What the messages of a reply have said so far: a host without numbers may reply in several, up to the prompt.
    failure: Option<Failure>,
    /// The ledger was set back since the last message.
    set_back: bool,
    /// What the welcome said about a request of an earlier start, until a line is sent.
    earlier: Option<Failure>,
    /// Was a line refused, or not sent?
    refused: bool,
}

/// A line that failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FailedLine {
    /// What to report.
    pub(super) reason: String,
    /// The exit code with which the client leaves; `None` if the lines go on.
    pub(super) exit: Option<Exit>,
}

impl Script {
    pub(super) fn new(says_hello: bool, keep_going: bool) -> Self {
        Self {
            says_hello,
            keep_going,
            greeted: false,
            line: 0,
            unanswered: None,
            failure: None,
            set_back: false,
            earlier: None,
            refused: false,
        }
    }

    /// Notes that a line was read.
    pub(super) fn on_line(&mut self) {
        self.line = self.line.saturating_add(1);
    }

    /// Notes an answer that was sent; `None` in place of one that is not to be shown.
    pub(super) fn on_answer(&mut self, prompt: Prompt, answer: Option<&str>) {
        (self.earlier, self.failure) = (None, None);
        self.unanswered = Some((prompt, answer.map(str::to_owned)));
    }

    /// Notes a line that could not be sent.
    pub(super) fn on_not_sent(&mut self, reason: &str) -> FailedLine {
        self.refused(format!("line {}: {reason}", self.line), self.keep_going)
    }

    /// The answer that has no reply, as it is reported.
    pub(super) fn unanswered(&self) -> Option<String> {
        self.unanswered.as_ref().map(|(_, answer)| self.describe(answer.as_deref()))
    }

    /// The prompt whose answer has no reply yet.
    pub(super) fn unanswered_prompt(&self) -> Option<Prompt> {
        self.unanswered.as_ref().map(|(prompt, _)| *prompt)
    }

    /// Notes that the ledger was set back: whatever it reports about the answer, it has lost what was done before.
    pub(super) fn on_ledger_set_back(&mut self) {
        self.set_back = true;
    }

    /// What the welcome said about a request of an earlier start, if that was not done.
    pub(super) fn earlier(&self) -> Option<Failure> {
        self.earlier
    }

    /// The exit code at the end of the lines: whether all were done. Without a line, the outcome of the request before this
    /// start, if the host reported that.
    pub(super) fn exit(&self) -> Exit {
        if self.refused { Exit::Refused } else { self.earlier.map_or(Exit::Done, Exit::from) }
    }

    /// Checks a message of the host; returns the line that failed, if it says so.
    pub(super) fn on_message(&mut self, message: &ReceivedMessage) -> Option<FailedLine> {
        self.failure = self.failure.or(message.failure);
        // Other messages of a host with numbers are notices.
        let is_reply = if self.says_hello { message.seq.is_some() } else { message.prompt.is_some() };
        if !is_reply {
            return None;
        }
        let failure = self.failure.take();
        let first = !std::mem::replace(&mut self.greeted, true);
        let set_back = std::mem::take(&mut self.set_back);
        let Some((prompt, answer)) = self.unanswered.take() else {
            if first {
                self.earlier = if set_back { Some(Failure::Unknown) } else { failure };
            }
            let exit = Some(if set_back { Exit::Unknown } else { Exit::Error });
            let reason =
                "stopped: a new session began, and the remaining lines were meant for the previous one";
            return (self.says_hello && !first).then(|| FailedLine { reason: reason.to_owned(), exit });
        };
        let lost = self.says_hello && (set_back || message.re != prompt);
        let failure = if lost { Failure::Unknown } else { failure? };
        let line = self.describe(answer.as_deref());
        let problem = match failure {
            Failure::Unknown => "its outcome is unknown",
            Failure::NotDone => "it was not done",
            Failure::Refused if message.welcome => {
                return Some(
                    self.refused(format!("{line}: it was refused, and the link was lost in between"), false),
                );
            }
            Failure::Refused => {
                return Some(self.refused(format!("{line}: it was refused"), self.keep_going));
            }
        };
        Some(FailedLine { reason: format!("stopped at {line}: {problem}"), exit: Some(failure.into()) })
    }

    /// A line that was refused or not sent, after which the others go on or not.
    fn refused(&mut self, problem: String, goes_on: bool) -> FailedLine {
        self.refused = true;
        match goes_on {
            true => FailedLine { reason: problem, exit: None },
            false => FailedLine { reason: format!("stopped at {problem}"), exit: Some(Exit::Refused) },
        }
    }

    fn describe(&self, answer: Option<&str>) -> String {
        answer.map_or_else(
            || format!("line {}", self.line),
            |answer| format!("line {} ({answer:?})", self.line),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(seq: u64, re: Option<u64>, welcome: bool, failure: Option<Failure>) -> ReceivedMessage {
        ReceivedMessage {
            text: String::new(),
            prompt: Some(Some(seq)),
            welcome,
            failure,
            seq: Some(seq),
            re,
            ..ReceivedMessage::default()
        }
    }

    const REFUSED: Option<Failure> = Some(Failure::Refused);
    const NOT_DONE: Option<Failure> = Some(Failure::NotDone);
    const UNKNOWN: Option<Failure> = Some(Failure::Unknown);

    fn stop(exit: Exit, problem: &str) -> Option<FailedLine> {
        Some(FailedLine { exit: Some(exit), reason: format!("stopped at line 1 (\"40\"): {problem}") })
    }

    fn answer(script: &mut Script, prompt: Prompt) {
        script.on_line();
        script.on_answer(prompt, Some("40"));
    }

    #[test]
    fn a_failed_line_stops_a_script() {
        for (reply, stopped) in [
            (message(8, Some(7), false, None), None),
            (message(8, Some(7), true, None), None),
            (message(8, Some(7), false, REFUSED), stop(Exit::Refused, "it was refused")),
            (
                message(8, Some(7), true, REFUSED),
                stop(Exit::Refused, "it was refused, and the link was lost in between"),
            ),
            (message(8, Some(7), true, NOT_DONE), stop(Exit::NotDone, "it was not done")),
            (message(1, Some(7), true, UNKNOWN), stop(Exit::Unknown, "its outcome is unknown")),
            (message(8, None, true, None), stop(Exit::Unknown, "its outcome is unknown")),
        ] {
            let mut script = Script::new(true, false);
            // The outcome of an answer before this start is not one of the script's.
            assert_eq!(script.on_message(&message(7, Some(3), true, NOT_DONE)), None);
            answer(&mut script, Some(7));
            assert_eq!(script.on_message(&reply), stopped, "{reply:?}");
        }
        let mut script = Script::new(true, false);
        script.on_ledger_set_back();
        assert_eq!(script.on_message(&message(7, Some(9), true, UNKNOWN)), None, "no answer of the script");
        answer(&mut script, Some(7));
        script.on_ledger_set_back();
        let unknown = stop(Exit::Unknown, "its outcome is unknown");
        assert_eq!(script.on_message(&message(4, Some(7), true, None)), unknown);
    }

    #[test]
    fn a_new_session_stops_a_script() {
        for set_back in [false, true] {
            let mut script = Script::new(true, false);
            assert_eq!(script.on_message(&message(7, None, true, None)), None);
            if set_back {
                script.on_ledger_set_back();
            }
            let stopped = script.on_message(&message(9, None, true, None)).unwrap();
            assert!(stopped.reason.contains("a new session began"), "{stopped:?}");
            assert_eq!(stopped.exit, Some(if set_back { Exit::Unknown } else { Exit::Error }));
        }
    }

    #[test]
    fn a_script_that_keeps_going_stops_where_the_menu_is_not_the_expected_prompt() {
        let mut script = Script::new(true, true);
        script.on_message(&message(7, None, true, None));
        answer(&mut script, Some(7));
        let refused = FailedLine { exit: None, reason: "line 1 (\"40\"): it was refused".into() };
        assert_eq!(script.on_message(&message(8, Some(7), false, REFUSED)), Some(refused));
        script.on_line();
        let not_sent = FailedLine { exit: None, reason: "line 2: it is too long".into() };
        assert_eq!(script.on_not_sent("it is too long"), not_sent);
        assert_eq!(script.exit(), Exit::Refused);
        for (failure, exit) in [(REFUSED, Exit::Refused), (NOT_DONE, Exit::NotDone), (UNKNOWN, Exit::Unknown)]
        {
            let mut script = Script::new(true, true);
            script.on_message(&message(7, None, true, None));
            answer(&mut script, Some(7));
            assert_eq!(script.on_message(&message(9, Some(7), true, failure)).unwrap().exit, Some(exit));
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
            let mut script = Script::new(true, true);
            script.on_message(&message(7, None, true, earlier));
            for (seq, failure) in (8..).zip(replies) {
                answer(&mut script, Some(seq - 1));
                let failed = script.on_message(&message(seq, Some(seq - 1), false, *failure));
                assert_eq!(failed.is_some(), failure.is_some());
            }
            assert_eq!(script.exit(), exit, "{earlier:?} {replies:?}");
        }
        let mut script = Script::new(true, false);
        script.on_ledger_set_back();
        script.on_message(&message(7, None, true, None));
        assert_eq!(script.exit(), Exit::Unknown);
    }

    #[test]
    fn without_numbers_a_reply_ends_at_its_prompt() {
        let plain = |prompt: Option<Prompt>, failure| ReceivedMessage {
            prompt,
            seq: None,
            ..message(0, None, false, failure)
        };
        let mut script = Script::new(false, false);
        assert_eq!(script.on_message(&plain(Some(None), None)), None);
        answer(&mut script, None);
        assert_eq!(script.on_message(&plain(None, REFUSED)), None);
        assert_eq!(script.unanswered().unwrap(), "line 1 (\"40\")");
        let refused = stop(Exit::Refused, "it was refused");
        assert_eq!(script.on_message(&plain(Some(None), None)), refused);
        assert_eq!((script.unanswered(), script.exit()), (None, Exit::Refused));
    }
}
