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
    Type(usize, &'static str),
    /// A frame reaches the host.
    Up(usize, usize, usize),
    /// A frame reaches the terminal.
    Down(usize, usize),
    /// A frame reaches the terminal, which shows it and loses its power before it has stored that.
    DownInVain(usize, usize),
    /// The ledger carries out the terminal's next request.
    Commit(usize),
    /// It does, and does not know that it did: it is asked again.
    Doubt(usize),
    /// The ledger carries out what a host asked that has lost its power since.
    CommitStray(usize),
    /// The ledger's response reaches the host.
    Respond(usize),
    /// The terminal repeats what has no reply.
    Repeat(usize),
    /// The terminal gives up on whoever stood there; or the session is over and somebody else comes.
    Next(usize),
    /// The terminal is plugged into a new link.
    Reconnect(usize),
    /// The host notices that nobody is at the other end of a link.
    Close(usize, usize),
    /// The host has waited long enough for an answer.
    Idle(usize, usize),
    /// The host has kept a parked conversation long enough.
    Forget(usize),
    /// The terminal loses its power and gets it back.
    TerminalCrash(usize),
    /// The host's ends of the terminal's links lose their power and get it back.
    HostCrash(usize),
}

impl ModelAction {
    /// Where it happens.
    pub(super) fn station(self) -> usize {
        match self {
            Self::Type(at, _)
            | Self::Up(at, ..)
            | Self::Down(at, ..)
            | Self::DownInVain(at, _)
            | Self::Commit(at)
            | Self::Doubt(at)
            | Self::CommitStray(at)
            | Self::Respond(at)
            | Self::Repeat(at)
            | Self::Next(at)
            | Self::Reconnect(at)
            | Self::Close(at, _)
            | Self::Idle(at, _)
            | Self::Forget(at)
            | Self::TerminalCrash(at)
            | Self::HostCrash(at) => at,
        }
    }

    /// Does it matter to the other terminals? Only the balance does: the ledger's record of a terminal is its own, and so
    /// are the numbers that it is given.
    pub(super) fn is_seen(self, station: &Station) -> bool {
        let next = match self {
            Self::Commit(_) | Self::Doubt(_) => station.asked.first(),
            Self::CommitStray(_) => station.stray.first(),
            _ => None,
        };
        matches!(next, Some(Request::Operate { .. }))
    }

    /// Does the ledger take part in it?
    pub(super) fn asks_ledger(self) -> bool {
        matches!(self, Self::Commit(_) | Self::Doubt(_) | Self::CommitStray(_))
    }

    fn down(driver: &mut Driver, frame: usize, power: Power, bounds: &Bounds) -> bool {
        let frame = driver.station.links.last().and_then(|link| link.to_terminal.get(frame));
        frame.is_some_and(|frame| {
            driver.down(&frame, power, bounds);
            true
        })
    }

    /// Lets it happen at a station, and what follows where the link is good; false where it cannot.
    pub(super) fn happen(self, driver: &mut Driver, bounds: &Bounds) -> bool {
        let happened = self.at_station(driver, bounds);
        if bounds.is_good(self.station()) {
            driver.flow(bounds);
        }
        happened
    }

    fn at_station(self, driver: &mut Driver, bounds: &Bounds) -> bool {
        match self {
            Self::Type(_, text) => driver.type_in(text, bounds),
            Self::Up(_, link, frame) => {
                let frame = driver.station.links.get(link).and_then(|link| link.to_host.get(frame));
                frame.is_some_and(|frame| driver.up(link, &frame))
            }
            Self::Down(_, frame) => Self::down(driver, frame, Power::Stays, bounds),
            Self::DownInVain(_, frame) => Self::down(driver, frame, Power::Fails, bounds),
            Self::Commit(_) => driver.commit_next(),
            Self::Doubt(_) => {
                let next = driver.station.asked.first().cloned();
                next.and_then(|request| driver.commit(&request)).is_some()
            }
            Self::CommitStray(_) => {
                let request = driver.station.stray.remove(0);
                driver.commit(&request).is_some()
            }
            Self::Respond(_) => driver.respond(),
            Self::Repeat(_) => driver.tick(bounds),
            Self::Next(_) => {
                driver.next_person(bounds);
                true
            }
            Self::Reconnect(_) => {
                driver.reconnect(bounds, true);
                true
            }
            Self::Close(_, link) => {
                driver.close(link);
                true
            }
            Self::Idle(_, link) => {
                driver.station.idles -= 1;
                driver.idle(link)
            }
            Self::Forget(_) => {
                driver.station.idles -= 1;
                driver.station.parked.take().is_some()
            }
            Self::TerminalCrash(_) => {
                driver.lose_power(bounds);
                true
            }
            Self::HostCrash(_) => {
                driver.station.host_crashes -= 1;
                driver.station.lose_host(bounds);
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
        let texts = match station.audit.asks() {
            Some(Screen::Menu) => bounds.menu,
            Some(_) => &["1"],
            None => &[],
        };
        actions.extend(texts.iter().map(|text| ModelAction::Type(at, text)));
    }
    if bounds.is_good(at) {
        // All that can wait for something else is the commit of its operation.
        actions.extend(station.asked.first().map(|_| ModelAction::Commit(at)));
        return;
    }
    for (link, there) in station.links.iter().enumerate() {
        for frame in 0..there.to_host.len() {
            actions.push(ModelAction::Up(at, link, frame));
        }
        if station.idles > 0 && there.host.as_ref().is_some_and(|host| host.visit().is_some()) {
            actions.push(ModelAction::Idle(at, link));
        }
        if there.host.is_some() && link + 1 < station.links.len() {
            actions.push(ModelAction::Close(at, link));
        }
    }
    for frame in 0..station.links.last().map_or(0, |link| link.to_terminal.len()) {
        actions.push(ModelAction::Down(at, frame));
        if state.terminal_crashes > 0 {
            actions.push(ModelAction::DownInVain(at, frame));
        }
    }
    if !station.asked.is_empty() {
        actions.push(ModelAction::Commit(at));
        if state.doubts > 0 && !matches!(station.asked.first(), Some(Request::Open { .. })) {
            actions.push(ModelAction::Doubt(at));
        }
    }
    if !station.stray.is_empty() {
        actions.push(ModelAction::CommitStray(at));
    }
    if !station.answered.is_empty() {
        actions.push(ModelAction::Respond(at));
    }
    if !prompt && !station.terminal.is_over() {
        actions.push(ModelAction::Repeat(at));
    }
    if station.may_greet(1, bounds) {
        if station.terminal.is_waiting() || station.terminal.is_over() {
            actions.push(ModelAction::Next(at));
        }
        if station.links.len() < bounds.links {
            actions.push(ModelAction::Reconnect(at));
        }
    }
    if station.parked.is_some() && station.idles > 0 {
        actions.push(ModelAction::Forget(at));
    }
    if state.terminal_crashes > 0 {
        actions.push(ModelAction::TerminalCrash(at));
    }
    if station.host_crashes > 0 {
        actions.push(ModelAction::HostCrash(at));
    }
}
