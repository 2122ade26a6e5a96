//! Lines that somebody has written beforehand, for a conversation that went as planned.
use super::super::event::ReceivedMessage;
use atm_core::{ledger::Outcome, terminal::Prompt};

/// What a pipe has said, to tell when its next lines are not meant for what is asked.
///
/// A request that was refused is no reason to stop: whoever wrote the lines could know. But what a lost line has undone
/// could nobody know, and the host is at the menu after it, where the next lines would mean something else.
#[derive(Debug, Default)]
pub(super) struct Script {
    greeted: bool,
    /// The answer that has no reply yet.
    out: Option<(Prompt, String)>,
}

impl Script {
    /// This was sent.
    pub(super) fn say(&mut self, prompt: Prompt, answer: &str) {
        self.out = Some((prompt, answer.to_owned()));
    }

    /// The answer that has no reply.
    pub(super) fn unanswered(&self) -> Option<&str> {
        self.out.as_ref().map(|(_, answer)| answer.as_str())
    }

    /// Hears what the host says; the reason to stop, if it is one.
    pub(super) fn hear(&mut self, said: &ReceivedMessage) -> Option<String> {
        // A notice is no reply.
        said.seq?;
        let first = !std::mem::replace(&mut self.greeted, true);
        let Some((prompt, answer)) = self.out.take() else {
            let anew = "stopped: the session began anew, and the next lines were meant for the one before";
            return (!first).then(|| anew.to_owned());
        };
        let what = match said.outcome {
            _ if said.re != prompt => "it is not known what became of it",
            Some(Outcome::NotDone) => "it was not done",
            Some(Outcome::Unknown) => "it is not known what became of it",
            Some(Outcome::Refused(_)) if said.welcome => "it was refused, and the line was lost in between",
            _ => return None,
        };
        Some(format!("stopped at the answer {answer:?}: {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_core::{ledger::Refusal, money::Amount};

    fn said(seq: u64, re: Option<u64>, welcome: bool, outcome: Option<Outcome>) -> ReceivedMessage {
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
    fn only_what_the_line_has_undone_stops_a_script() {
        let refused = Some(Outcome::Refused(Refusal::Insufficient { balance: Amount::ZERO }));
        let (not_done, unknown) = (Some(Outcome::NotDone), Some(Outcome::Unknown));
        let stop = |what| Some(format!("stopped at the answer \"40\": {what}"));
        for (reply, reason) in [
            (said(8, Some(7), false, None), None),
            (said(8, Some(7), true, None), None),
            (said(8, Some(7), false, refused), None),
            (said(8, Some(7), true, refused), stop("it was refused, and the line was lost in between")),
            (said(8, Some(7), true, not_done), stop("it was not done")),
            (said(1, Some(7), true, unknown), stop("it is not known what became of it")),
            (said(8, None, true, None), stop("it is not known what became of it")),
        ] {
            let mut script = Script::default();
            // What is told of an earlier life is none of its answers.
            assert_eq!(script.hear(&said(7, Some(3), true, not_done)), None);
            script.say(Some(7), "40");
            assert_eq!(script.hear(&reply), reason, "{reply:?}");
        }
        let mut script = Script::default();
        assert_eq!(script.hear(&said(7, None, true, None)), None);
        assert!(script.hear(&said(9, None, true, None)).unwrap().contains("began anew"));
    }
}
