//! Script: decides when the remaining lines of a pipe must not be sent, because an answer failed that they rely on.
use super::super::event::ReceivedMessage;
use atm_core::{ledger::Outcome, terminal::Prompt};

/// The state of a pipe's answers. A refusal does not stop the script: its author could foresee it. An operation that was
/// not done because the link was lost could not be foreseen, and the host is then at the menu, where the remaining lines
/// would mean something else.
#[derive(Debug, Default)]
pub(super) struct Script {
    greeted: bool,
    /// The answer that has no reply yet, and the prompt that it answers.
    unanswered: Option<(Prompt, String)>,
    /// The ledger was set back since the last message.
    set_back: bool,
}

impl Script {
    /// Notes an answer that was sent.
    pub(super) fn on_answer(&mut self, prompt: Prompt, answer: &str) {
        self.unanswered = Some((prompt, answer.to_owned()));
    }

    /// The answer that has no reply.
    pub(super) fn unanswered(&self) -> Option<&str> {
        self.unanswered.as_ref().map(|(_, answer)| answer.as_str())
    }

    /// Notes that the ledger was set back: whatever it reports about the answer, it has lost what was done before.
    pub(super) fn on_ledger_set_back(&mut self) {
        self.set_back = true;
    }

    /// Checks a message of the host; returns the reason to stop, if it is one.
    pub(super) fn on_message(&mut self, message: &ReceivedMessage) -> Option<String> {
        // Without a number it is a notice, not a reply.
        message.seq?;
        let first = !std::mem::replace(&mut self.greeted, true);
        let set_back = std::mem::take(&mut self.set_back);
        let Some((prompt, answer)) = self.unanswered.take() else {
            let reason =
                "stopped: a new session began, and the remaining lines were meant for the previous one";
            return (!first).then(|| reason.to_owned());
        };
        let problem = match message.outcome {
            _ if set_back || message.re != prompt => "its outcome is unknown",
            Some(Outcome::NotDone) => "it was not done",
            Some(Outcome::Unknown) => "its outcome is unknown",
            Some(Outcome::Refused(_)) if message.welcome => {
                "it was refused, and the link was lost in between"
            }
            _ => return None,
        };
        Some(format!("stopped at the answer {answer:?}: {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_core::{ledger::Refusal, money::Amount};

    fn message(seq: u64, re: Option<u64>, welcome: bool, outcome: Option<Outcome>) -> ReceivedMessage {
        ReceivedMessage {
            text: String::new(),
            prompt: Some(Some(seq)),
            ends: false,
            welcome,
            outcome,
            notice: None,
            seq: Some(seq),
            re,
            plain: false,
        }
    }

    #[test]
    fn an_operation_not_done_stops_a_script_and_a_plain_refusal_does_not() {
        let refused = Some(Outcome::Refused(Refusal::Insufficient { balance: Amount::ZERO }));
        let (not_done, unknown) = (Some(Outcome::NotDone), Some(Outcome::Unknown));
        let stop = |problem| Some(format!("stopped at the answer \"40\": {problem}"));
        for (reply, reason) in [
            (message(8, Some(7), false, None), None),
            (message(8, Some(7), true, None), None),
            (message(8, Some(7), false, refused), None),
            (message(8, Some(7), true, refused), stop("it was refused, and the link was lost in between")),
            (message(8, Some(7), true, not_done), stop("it was not done")),
            (message(1, Some(7), true, unknown), stop("its outcome is unknown")),
            (message(8, None, true, None), stop("its outcome is unknown")),
        ] {
            let mut script = Script::default();
            // The outcome of an answer before this start is not one of the script's.
            assert_eq!(script.on_message(&message(7, Some(3), true, not_done)), None);
            script.on_answer(Some(7), "40");
            assert_eq!(script.on_message(&reply), reason, "{reply:?}");
        }
        let mut script = Script::default();
        script.on_ledger_set_back();
        assert_eq!(script.on_message(&message(7, Some(9), true, unknown)), None, "no answer of the script");
        script.on_answer(Some(7), "40");
        script.on_ledger_set_back();
        assert_eq!(script.on_message(&message(4, Some(7), true, None)), stop("its outcome is unknown"));
        let mut script = Script::default();
        assert_eq!(script.on_message(&message(7, None, true, None)), None);
        assert!(script.on_message(&message(9, None, true, None)).unwrap().contains("a new session began"));
    }
}
