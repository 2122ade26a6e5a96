//! Actions: the events of the model, when each is possible, and its effect on a station and the ledger.
use super::{
    ModelState,
    attacker::Forgery,
    bounds::Bounds,
    cards::{self, Order},
    driver::{Driver, TerminalPower, is_operation},
    ledger::InjectedBug,
    station::Station,
};
use atm_core::{ledger::Command, screen::Screen};

/// An event that the model checker can choose next. The first number is the station's index; hosts, links and frames
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
    /// The ledger commits a host's next request.
    Commit(usize, usize),
    /// The ledger commits a host's next request and returns an error: the request is sent again.
    CommitInDoubt(usize, usize),
    /// The ledger commits a request of a host that has crashed since.
    CommitOrphaned(usize, usize),
    /// The ledger's response reaches the host.
    Respond(usize, usize),
    /// The terminal retransmits the message that has no reply.
    Retransmit(usize),
    /// The terminal gives up and its person leaves, or the session is over: the next person comes.
    NextPerson(usize),
    /// The terminal connects to a host by a new link.
    Reconnect(usize, usize),
    /// The host notices that a link is dead.
    CloseLink(usize, usize),
    /// The idle time of an open prompt ends.
    IdleTimeout(usize, usize),
    /// The time to keep a parked conversation ends.
    DropParked(usize, usize),
    /// The terminal loses power and restarts.
    TerminalCrash(usize),
    /// A host's ends of the terminal's links lose power and restart.
    HostCrash(usize, usize),
    /// The ledger is copied.
    CopyLedger(usize),
    /// The ledger is replaced by its copy.
    SetBack(usize),
    /// A frame of any earlier time reaches the host.
    ReplayToHost(usize, usize),
    /// A frame of any earlier time reaches the terminal.
    ReplayToTerminal(usize, usize),
    /// A forged message reaches either.
    Forge(usize, Forgery),
    /// An operator gives an order about a card.
    Order(usize, Order),
}

impl ModelAction {
    /// The index of the station.
    pub(super) fn station(self) -> usize {
        match self {
            Self::TypeAnswer(at, _)
            | Self::DeliverToHost(at, ..)
            | Self::DeliverToTerminal(at, ..)
            | Self::DeliverThenCrash(at, _)
            | Self::Commit(at, _)
            | Self::CommitInDoubt(at, _)
            | Self::CommitOrphaned(at, _)
            | Self::Respond(at, _)
            | Self::Retransmit(at)
            | Self::NextPerson(at)
            | Self::Reconnect(at, _)
            | Self::CloseLink(at, _)
            | Self::IdleTimeout(at, _)
            | Self::DropParked(at, _)
            | Self::TerminalCrash(at)
            | Self::HostCrash(at, _)
            | Self::CopyLedger(at)
            | Self::SetBack(at)
            | Self::ReplayToHost(at, _)
            | Self::ReplayToTerminal(at, _)
            | Self::Forge(at, _) => at,
            // At no station.
            Self::Order(..) => 0,
        }
    }

    /// Does it commit an operation? Only this can affect other stations, by the balance and the rows of cards: a terminal's row in
    /// the ledger and its numbers are its own.
    pub(super) fn commits_operation(self, station: &Station, bounds: &Bounds) -> bool {
        if matches!(self, Self::Order(..)) || self.loses_power_with_bug(bounds) {
            return true;
        }
        match self {
            Self::Commit(_, host) | Self::CommitInDoubt(_, host) => station.hosts[host].requests.first(),
            Self::CommitOrphaned(_, host) => station.hosts[host].orphaned.first(),
            _ => None,
        }
        .is_some_and(is_operation)
    }

    /// Does the ledger change with a host's loss of power?
    fn loses_power_with_bug(self, bounds: &Bounds) -> bool {
        let is_lost = matches!(bounds.bug, Some(InjectedBug::CountTryLate | InjectedBug::UnblockAtRestart));
        is_lost && matches!(self, Self::HostCrash(..))
    }

    /// Does the ledger change?
    pub(super) fn commits(self, bounds: &Bounds) -> bool {
        let is_commit = matches!(
            self,
            Self::Commit(..)
                | Self::CommitInDoubt(..)
                | Self::CommitOrphaned(..)
                | Self::CopyLedger(_)
                | Self::SetBack(_)
                | Self::Order(..)
        );
        is_commit || self.loses_power_with_bug(bounds)
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
            Self::Commit(_, host) => driver.commit_next(host),
            Self::CommitInDoubt(_, host) => {
                let next = driver.station.hosts[host].requests.first().cloned();
                next.and_then(|request| driver.commit(host, &request)).is_some()
            }
            Self::CommitOrphaned(_, host) => {
                let request = driver.station.hosts[host].orphaned.remove(0);
                driver.commit(host, &request).is_some()
            }
            Self::Respond(_, host) => driver.deliver_response(host),
            Self::Retransmit(_) => driver.tick(bounds),
            Self::NextPerson(_) => {
                driver.next_person(bounds);
                true
            }
            Self::Reconnect(_, host) => {
                driver.reconnect(bounds, Some(host));
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
            Self::DropParked(_, host) => {
                driver.station.idle_timeouts -= 1;
                driver.station.hosts[host].parked.take().is_some()
            }
            Self::TerminalCrash(_) => {
                driver.crash_terminal(bounds);
                true
            }
            Self::HostCrash(_, host) => {
                driver.station.host_crashes -= 1;
                driver.station.crash_host(host, bounds);
                driver.ledger.lose_power();
                true
            }
            Self::CopyLedger(_) => {
                driver.copy_ledger();
                true
            }
            Self::SetBack(_) => driver.set_back(),
            Self::ReplayToHost(_, frame) => driver.replay(frame, true, bounds),
            Self::ReplayToTerminal(_, frame) => driver.replay(frame, false, bounds),
            Self::Forge(_, forgery) => driver.forge(forgery, bounds),
            Self::Order(card, order) => {
                driver.ledger.cards.as_mut().is_some_and(|cards| cards.order(card, order))
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
            Some(Screen::Card(screen)) => cards::texts(screen, bounds),
            Some(_) => &["1"],
            None => &[],
        };
        actions.extend(texts.iter().map(|text| ModelAction::TypeAnswer(at, text)));
    }
    if bounds.is_reliable(at) {
        // All other events happen at once: see `Driver::run_reliably`.
        actions.extend(station.hosts[0].requests.first().map(|_| ModelAction::Commit(at, 0)));
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
    for (number, host) in station.hosts.iter().enumerate() {
        if let Some(next) = host.requests.first() {
            actions.push(ModelAction::Commit(at, number));
            if state.commits_in_doubt > 0 && !matches!(next.command, Command::Hello(_) | Command::Reserve) {
                actions.push(ModelAction::CommitInDoubt(at, number));
            }
        }
        if !host.orphaned.is_empty() {
            actions.push(ModelAction::CommitOrphaned(at, number));
        }
        if !host.responses.is_empty() {
            actions.push(ModelAction::Respond(at, number));
        }
        if host.parked.is_some() && station.idle_timeouts > 0 {
            actions.push(ModelAction::DropParked(at, number));
        }
        if station.host_crashes > 0 {
            actions.push(ModelAction::HostCrash(at, number));
        }
    }
    if station.set_backs > 0 {
        let is_copied = state.ledger.has_copy();
        actions.push(if is_copied { ModelAction::SetBack(at) } else { ModelAction::CopyLedger(at) });
    }
    station.attacker.possible(at, actions);
    if !prompt && !station.terminal.is_over() {
        actions.push(ModelAction::Retransmit(at));
    }
    if station.may_say_hello(1, bounds) {
        if station.terminal.is_awaiting_reply() || station.terminal.is_over() {
            actions.push(ModelAction::NextPerson(at));
        }
        if station.links.len() < bounds.links {
            actions.extend((0..bounds.hosts).map(|host| ModelAction::Reconnect(at, host)));
        }
    }
    if state.terminal_crashes > 0 {
        actions.push(ModelAction::TerminalCrash(at));
    }
}
