//! What can happen, when, and what follows.
use super::{
    ModelState,
    bounds::Bounds,
    driver::{Driver, Power},
    station::Station,
};
use atm_core::{ledger::Request, screen::Screen};

/// What can happen next. Terminals, links and frames are named by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelAction {
    /// A person answers the open prompt.
    TypeAnswer(usize, &'static str),
    /// A frame reaches the host.
    DeliverToHost(usize, usize, usize),
    /// A frame reaches the terminal.
    DeliverToTerminal(usize, usize),
    /// A frame reaches the terminal, which shows it and loses its power before it has stored that.
    DeliverThenCrash(usize, usize),
    /// The ledger carries out the terminal's next request.
    Commit(usize),
    /// It does, and does not know that it did: it is asked again.
    CommitInDoubt(usize),
    /// The ledger carries out what a host asked that has lost its power since.
    CommitOrphaned(usize),
    /// The ledger's response reaches the host.
    Respond(usize),
    /// The terminal repeats what has no reply.
    Retransmit(usize),
    /// The terminal gives up on whoever stood there; or the session is over and somebody else comes.
    NextPerson(usize),
    /// The terminal is plugged into a new link.
    Reconnect(usize),
    /// The host notices that nobody is at the other end of a link.
    CloseLink(usize, usize),
    /// The host has waited long enough for an answer.
    IdleTimeout(usize, usize),
    /// The host has kept a parked conversation long enough.
    DropParked(usize),
    /// The terminal loses its power and gets it back.
    TerminalCrash(usize),
    /// The host's ends of the terminal's links lose their power and get it back.
    HostCrash(usize),
}

impl ModelAction {
    /// Where it happens.
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

    /// Does it matter to the other terminals? Only the balance does: the ledger's record of a terminal is its own, and so
    /// are the numbers that it is given.
    pub(super) fn commits_operation(self, station: &Station) -> bool {
        let next = match self {
            Self::Commit(_) | Self::CommitInDoubt(_) => station.requests.first(),
            Self::CommitOrphaned(_) => station.orphaned.first(),
            _ => None,
        };
        matches!(next, Some(Request::Operate { .. }))
    }

    /// Does the ledger take part in it?
    pub(super) fn commits(self) -> bool {
        matches!(self, Self::Commit(_) | Self::CommitInDoubt(_) | Self::CommitOrphaned(_))
    }

    fn deliver_to_terminal(driver: &mut Driver, frame: usize, power: Power, bounds: &Bounds) -> bool {
        let frame = driver.station.links.last().and_then(|link| link.to_terminal.get(frame));
        frame.is_some_and(|frame| {
            driver.deliver_to_terminal(&frame, power, bounds);
            true
        })
    }

    /// Lets it happen at a station, and what follows where the link is good; false where it cannot.
    pub(super) fn apply(self, driver: &mut Driver, bounds: &Bounds) -> bool {
        let happened = self.at_station(driver, bounds);
        if bounds.is_reliable(self.station()) {
            driver.run_reliably(bounds);
        }
        happened
    }

    fn at_station(self, driver: &mut Driver, bounds: &Bounds) -> bool {
        match self {
            Self::TypeAnswer(_, text) => driver.type_answer(text, bounds),
            Self::DeliverToHost(_, link, frame) => {
                let frame = driver.station.links.get(link).and_then(|link| link.to_host.get(frame));
                frame.is_some_and(|frame| driver.deliver_to_host(link, &frame))
            }
            Self::DeliverToTerminal(_, frame) => {
                Self::deliver_to_terminal(driver, frame, Power::Stays, bounds)
            }
            Self::DeliverThenCrash(_, frame) => {
                Self::deliver_to_terminal(driver, frame, Power::Fails, bounds)
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

/// What can happen at one station.
pub(super) fn of_station(
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
        // All that can wait for something else is the commit of its operation.
        actions.extend(station.requests.first().map(|_| ModelAction::Commit(at)));
        return;
    }
    for (link, there) in station.links.iter().enumerate() {
        for frame in 0..there.to_host.len() {
            actions.push(ModelAction::DeliverToHost(at, link, frame));
        }
        if station.idle_timeouts > 0 && there.host.as_ref().is_some_and(|host| host.conversation().is_some())
        {
            actions.push(ModelAction::IdleTimeout(at, link));
        }
        if there.host.is_some() && link + 1 < station.links.len() {
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
