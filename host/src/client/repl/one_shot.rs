//! The REPL's handling of messages where the command line has an operation: the result is printed in place of the dialogue.
//!
//! The outcome of an earlier request without a reply comes first, with the greeting. Where it is unknown, no money is moved, at the next
//! starts neither: the request stays pending until a person was informed, by `balance` or in a conversation. Where that
//! request has moved the same money, this command is its repetition, and its result is that outcome: money does not move again.
//! Otherwise the outcome is reported, and the operation follows. So does `withdraw all`, as more may have been deposited since; where
//! nothing is left, the earlier outcome is its result.
//!
//! With a card, its number, its PIN and its account come before the operation, and each reply must ask for what follows: no number goes to a
//! host that does not serve by card. The outcome of an earlier request is in the reply to the PIN, in full if it was the same card's.
use super::{Leaving, Repl, script::Script};
use crate::{
    client::{
        Escaped, ReceivedMessage,
        one_shot::{OneShot, Operation, json},
    },
    exit::Exit,
};
use atm_core::{
    ledger::{Outcome, Refusal},
    screen::{CardPrompt, Failure},
};
use std::io;

impl Repl<'_> {
    /// Handles a message, up to the reply to the operation; `Some` where the REPL ends.
    pub(super) fn on_one_shot_message(
        &mut self,
        one_shot: OneShot,
        message: &ReceivedMessage,
        is_shown: bool,
    ) -> io::Result<Option<Exit>> {
        if message.ends {
            if self.leaving == Leaving::No {
                self.report_text(&message.text)?;
            }
            return self.end(message.failure).map(Some);
        }
        if let (Some(_), Leaving::Exit(_, exit)) = (message.prompt, self.leaving) {
            return Ok(Some(exit));
        }
        let Some(script) = &mut self.script else { return Ok(None) };
        let was_sent = script.unanswered().is_some();
        let failed = script.on_message(message);
        if script.unanswered().is_some() || message.prompt.is_none() {
            // A host without numbers may reply in several messages.
            if was_sent && is_shown && !message.plain && message.notice.is_none() {
                self.one_shot_text.push_str(&message.text);
            }
            return Ok(None);
        }
        let earlier = script.earlier();
        let sent = self.one_shot_answers;
        let is_last = sent == one_shot.sign_in_answers().saturating_add(one_shot.operation.answer_count());
        if was_sent && !is_last {
            let failure = failed.and_then(|failed| failed.exit);
            return self.on_one_shot_step(one_shot, message, sent, failure);
        }
        if !was_sent && one_shot.by_card != (message.card == Some(CardPrompt::Number)) {
            let reason = if one_shot.by_card {
                "the server does not serve by card"
            } else {
                "access is by card: --card-fd"
            };
            return self.stop_one_shot(reason);
        }
        if was_sent {
            let text = self.one_shot_text.clone() + notice_of(&message.text);
            let exit = match failed.and_then(|failed| failed.exit) {
                Some(exit) => exit,
                None if one_shot.operation.is_confirmed_by(message.outcome, &text) => Exit::Done,
                None => Exit::Unknown,
            };
            let is_empty = matches!(message.outcome, Some(Outcome::Refused(Refusal::Insufficient { balance })) if balance.is_zero());
            if let Some(earlier) = self.emptied_before.take().filter(|_| is_empty) {
                return self.finish_one_shot(one_shot, Exit::Done, &earlier, true);
            }
            if exit == Exit::Unknown {
                self.report("unknown: check the balance")?;
            }
            return self.finish_one_shot(one_shot, exit, message, false);
        }
        let is_repetition = one_shot.pending.is_some()
            && message.outcome.is_some_and(|outcome| one_shot.operation.is_done_by(outcome));
        match earlier {
            _ if failed.is_some() => self.finish_one_shot(one_shot, Exit::Error, message, true),
            Some(Failure::Unknown) if one_shot.moves_money() => {
                self.finish_one_shot(one_shot, Exit::Unknown, message, true)
            }
            None if is_repetition && one_shot.operation != Operation::WithdrawAll => {
                self.finish_one_shot(one_shot, Exit::Done, message, true)
            }
            _ => {
                self.emptied_before = is_repetition.then(|| message.clone());
                let earlier = notice_of(&message.text);
                if one_shot.pending.is_some()
                    && !earlier.is_empty()
                    && (one_shot.by_card || message.outcome.is_some())
                {
                    self.report_text(earlier)?;
                }
                Ok(None)
            }
        }
    }

    /// Handles the reply to an answer before the last: `sent` answers have one.
    fn on_one_shot_step(
        &mut self,
        one_shot: OneShot,
        message: &ReceivedMessage,
        sent: usize,
        failure: Option<Exit>,
    ) -> io::Result<Option<Exit>> {
        self.one_shot_text.clear();
        match failure {
            // No money is moved before the last answer.
            Some(Exit::Refused) => return self.finish_one_shot(one_shot, Exit::Refused, message, false),
            Some(_) => return self.stop_one_shot("the session was lost before the operation"),
            None => {}
        }
        let has_account = one_shot.account.is_some();
        let is_expected = match sent {
            1 if one_shot.by_card => message.secret,
            2 if one_shot.by_card && has_account != (message.card == Some(CardPrompt::Account)) => {
                return self.stop_one_shot(match has_account {
                    true => "the card has one account: leave out --account",
                    false => "the card has several accounts: choose one with --account",
                });
            }
            2 if one_shot.by_card && has_account => true,
            sent if sent == one_shot.sign_in_answers() => message.card == Some(CardPrompt::Menu),
            _ => true,
        };
        if !is_expected {
            return self.stop_one_shot("the server asks for something else");
        }
        let earlier = notice_of(&message.text);
        if sent == 2 && one_shot.by_card && one_shot.pending.is_some() && !earlier.is_empty() {
            let result = ReceivedMessage { re: one_shot.pending, ..message.clone() };
            if !one_shot.operation.was_done_by(&message.text) {
                self.report_text(earlier)?;
            } else if one_shot.operation == Operation::WithdrawAll {
                self.emptied_before = Some(result);
            } else {
                return self.finish_one_shot(one_shot, Exit::Done, &result, true);
            }
        }
        Ok(None)
    }

    /// Reports why the operation was not sent, and leaves.
    fn stop_one_shot(&mut self, reason: &str) -> io::Result<Option<Exit>> {
        self.report(&format!("nothing was done: {reason}"))?;
        self.leave_one_shot();
        Ok(Some(Exit::Error))
    }

    fn leave_one_shot(&mut self) {
        if let Some(prompt) = self.link.prompt().filter(|_| !self.down) {
            // It cannot fail: the prompt is open, and `exit` is not too long.
            let _ = self.link.leave(prompt);
        }
    }

    /// Prints the result, and leaves without waiting for the goodbye. The memory is stored last: where the client is ended before, the
    /// next start has the same result again.
    fn finish_one_shot(
        &mut self,
        one_shot: OneShot,
        exit: Exit,
        message: &ReceivedMessage,
        earlier: bool,
    ) -> io::Result<Option<Exit>> {
        let mut text = std::mem::take(&mut self.one_shot_text);
        text.push_str(notice_of(&message.text));
        if !one_shot.json {
            self.screen.message(text.trim_end())?;
        } else if exit != Exit::Error {
            self.screen.message(&json(one_shot.operation, exit, message, text.trim_end(), earlier))?;
        }
        self.keeps_pending = exit == Exit::Unknown && one_shot.moves_money();
        self.leave_one_shot();
        Ok(Some(exit))
    }

    /// Prints the result where the link has ended before the reply.
    pub(super) fn print_missing_reply(&mut self) -> io::Result<()> {
        let unanswered = self.script.as_ref().and_then(Script::unanswered_prompt);
        match (self.pipe.one_shot.filter(|one_shot| one_shot.json), unanswered) {
            (Some(one_shot), Some(re)) => {
                let missing = ReceivedMessage { re, ..ReceivedMessage::default() };
                self.screen.message(&json(one_shot.operation, Exit::Unknown, &missing, "", false))
            }
            _ => Ok(()),
        }
    }

    /// Reports a text of the host in one line.
    fn report_text(&mut self, text: &str) -> io::Result<()> {
        let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
        self.report(&Escaped(&lines.join(" ")).to_string())
    }
}

/// A text without the prompt that it ends in.
fn notice_of(text: &str) -> &str {
    text.rsplit_once("\n\n").map_or("", |(notice, _)| notice)
}
