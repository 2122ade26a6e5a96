//! Actions: the events of the model, when each is possible, and its effect on a station and the ledger.
use super::{
    ModelState,
    bounds::Bounds,
    driver::{Driver, TerminalPower},
    station::Station,
};
use atm_core::{ledger::Request, screen::Screen};

/// An event that the model checker can choose next. The first number is the station's index; links and frames
/// follow by theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelAction {
    /// A person answers the open prompt.
    TypeAnswer(usize, &'static str),
    /// A frame reaches the host.
    DeliverToHost(usize, usize, usize),
    /// A frame reaches the terminal.
    DeliverToTerminal(usize, usize),
    /// A frame reaches the terminal, which shows its message and loses power before it has stored that.
    DeliverThenCrash(usize, usize),
    /// The ledger commits the terminal's next request.
    Commit(usize),
    /// The ledger commits the terminal's next request and returns an error: the request is sent again.
    CommitInDoubt(usize),
    /// The ledger commits a request of a host that has crashed since.
    CommitOrphaned(usize),
    /// The ledger's response reaches the host.
    Respond(usize),
    /// The terminal retransmits the message that has no reply.
    Retransmit(usize),
    /// The terminal gives up and its person leaves, or the session is over: the next person comes.
    NextPerson(usize),
    /// The terminal connects by a new link.
    Reconnect(usize),
    /// The host notices that a link is dead.
    CloseLink(usize, usize),
    /// The idle time of an open prompt ends.
    IdleTimeout(usize, usize),
    /// The time to keep a parked conversation ends.
    DropParked(usize),
    /// The terminal loses power and restarts.
    TerminalCrash(usize),
    /// The host's ends of the terminal's links lose power and restart.
    HostCrash(usize),
}

impl ModelAction {
    /// The index of the station.
    pub(super) fn station(self) -> usize {
        match self {
            Self::TypeAnswer(at, _)
            | Self::DeliverToHost(at, ..)
            | Self::DeliverToTerminal(at, ..)
            | Self::DeliverThenCrash(at, _)
            | Self::Commit(at)
            | Self::CommitInDoubt(at)
            | Self::CommitOrphaned(at)
            | Self::Respond(at)
            | Self::Retransmit(at)
            | Self::NextPerson(at)
            | Self::Reconnect(at)
            | Self::CloseLink(at, _)
            | Self::IdleTimeout(at, _)
            | Self::DropParked(at)
            | Self::TerminalCrash(at)
            | Self::HostCrash(at) => at,
        }
    }

    /// Does it commit an operation? Only this can affect other stations, by the balance: a terminal's row in
    /// the ledger and its numbers are its own.
    pub(super) fn commits_operation(self, station: &Station) -> bool {
        let next = match self {
            Self::Commit(_) | Self::CommitInDoubt(_) => station.requests.first(),
            Self::CommitOrphaned(_) => station.orphaned.first(),
            _ => None,
        };
        matches!(next, Some(Request::Operate { .. }))
    }

    /// Does the ledger commit something?
    pub(super) fn commits(self) -> bool {
        matches!(self, Self::Commit(_) | Self::CommitInDoubt(_) | Self::CommitOrphaned(_))
    }

    fn deliver_to_terminal(driver: &mut Driver, frame: usize, power: TerminalPower, bounds: &Bounds) -> bool {
        let frame = driver.station.links.last().and_then(|link| link.to_terminal.get(frame));
        frame.is_some_and(|frame| {
            driver.deliver_to_terminal(&frame, power, bounds);
            true
        })
    }

    /// Applies the action, and on a reliable link all that follows from it; false if it is not possible.
    pub(super) fn apply(self, driver: &mut Driver, bounds: &Bounds) -> bool {
        let applied = self.apply_at_station(driver, bounds);
        if bounds.is_reliable(self.station()) {
            driver.run_reliably(bounds);
        }
        applied
    }

    fn apply_at_station(self, driver: &mut Driver, bounds: &Bounds) -> bool {
        match self {
            Self::TypeAnswer(_, text) => driver.type_answer(text, bounds),
            Self::DeliverToHost(_, link, frame) => {
                let frame = driver.station.links.get(link).and_then(|link| link.to_host.get(frame));
                frame.is_some_and(|frame| driver.deliver_to_host(link, &frame))
            }
            Self::DeliverToTerminal(_, frame) => {
                Self::deliver_to_terminal(driver, frame, TerminalPower::Stays, bounds)
            }
            Self::DeliverThenCrash(_, frame) => {
                Self::deliver_to_terminal(driver, frame, TerminalPower::Fails, bounds)
            }
            Self::Commit(_) => driver.commit_next(),
            Self::CommitInDoubt(_) => {
                let next = driver.station.requests.first().cloned();
                next.and_then(|request| driver.commit(&request)).is_some()
            }
            Self::CommitOrphaned(_) => {
                let request = driver.station.orphaned.remove(0);
                driver.commit(&request).is_some()
            }
            Self::Respond(_) => driver.deliver_response(),
            Self::Retransmit(_) => driver.tick(bounds),
            Self::NextPerson(_) => {
                driver.next_person(bounds);
                true
            }
            Self::Reconnect(_) => {
                driver.reconnect(bounds, true);
                true
            }
            Self::CloseLink(_, link) => {
                driver.close_link(link);
                true
            }
            Self::IdleTimeout(_, link) => {
                driver.station.idle_timeouts -= 1;
                driver.idle_timeout(link)
            }
            Self::DropParked(_) => {
                driver.station.idle_timeouts -= 1;
                driver.station.parked.take().is_some()
            }
            Self::TerminalCrash(_) => {
                driver.crash_terminal(bounds);
                true
            }
            Self::HostCrash(_) => {
                driver.station.host_crashes -= 1;
                driver.station.crash_host(bounds);
                true
            }
        }
    }
}

/// Adds the actions that are possible at one station.
pub(super) fn possible_at(
    bounds: &Bounds,
    state: &ModelState,
    at: usize,
    station: &Station,
    actions: &mut Vec<ModelAction>,
) {
    let prompt = station.terminal.prompt().is_some();
    if prompt && station.audit.answers() < bounds.answers {
        let texts = match station.audit.prompt() {
            Some(Screen::Menu) => bounds.menu,
            Some(_) => &["1"],
            None => &[],
        };
        actions.extend(texts.iter().map(|text| ModelAction::TypeAnswer(at, text)));
    }
    if bounds.is_reliable(at) {
        // All other events happen at once: see `Driver::run_reliably`.
        actions.extend(station.requests.first().map(|_| ModelAction::Commit(at)));
        return;
    }
    for (link, end) in station.links.iter().enumerate() {
        for frame in 0..end.to_host.len() {
            actions.push(ModelAction::DeliverToHost(at, link, frame));
        }
        if station.idle_timeouts > 0 && end.host.as_ref().is_some_and(|host| host.conversation().is_some()) {
            actions.push(ModelAction::IdleTimeout(at, link));
        }
        if end.host.is_some() && link + 1 < station.links.len() {
            actions.push(ModelAction::CloseLink(at, link));
        }
    }
    for frame in 0..station.links.last().map_or(0, |link| link.to_terminal.len()) {
        actions.push(ModelAction::DeliverToTerminal(at, frame));
        if state.terminal_crashes > 0 {
            actions.push(ModelAction::DeliverThenCrash(at, frame));
        }
    }
    if !station.requests.is_empty() {
        actions.push(ModelAction::Commit(at));
        if state.commits_in_doubt > 0 && !matches!(station.requests.first(), Some(Request::Open { .. })) {
            actions.push(ModelAction::CommitInDoubt(at));
        }
    }
    if !station.orphaned.is_empty() {
        actions.push(ModelAction::CommitOrphaned(at));
    }
    if !station.responses.is_empty() {
        actions.push(ModelAction::Respond(at));
    }
    if !prompt && !station.terminal.is_over() {
        actions.push(ModelAction::Retransmit(at));
    }
    if station.may_say_hello(1, bounds) {
        if station.terminal.is_awaiting_reply() || station.terminal.is_over() {
            actions.push(ModelAction::NextPerson(at));
        }
        if station.links.len() < bounds.links {
            actions.push(ModelAction::Reconnect(at));
        }
    }
    if station.parked.is_some() && station.idle_timeouts > 0 {
        actions.push(ModelAction::DropParked(at));
    }
    if state.terminal_crashes > 0 {
        actions.push(ModelAction::TerminalCrash(at));
    }
    if station.host_crashes > 0 {
        actions.push(ModelAction::HostCrash(at));
    }
}
