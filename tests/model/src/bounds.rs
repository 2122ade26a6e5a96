//! Bounds: the numbers of terminals, answers, frames in flight and faults, which make the state space finite.
use super::ledger::InjectedBug;
use atm_core::host::LinkKind;
use std::fmt;

/// The bounds of one configuration of the model.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The name for `--only`.
    pub name: &'static str,
    /// The kind of all links.
    pub link: LinkKind,
    /// Terminals, one or two.
    pub terminals: usize,
    /// How many of them, the last ones, have a link without faults and do not lose power.
    pub reliable: usize,
    /// Answers typed at each terminal.
    pub answers: usize,
    /// Answers to choose from at the menu.
    pub menu: &'static [&'static str],
    /// The balance at the start, in whole units.
    pub balance: u64,
    /// Frames that can still arrive on a link in each direction: the last ones sent.
    pub frames_in_flight: usize,
    /// Links that a terminal can have at once.
    pub links: usize,
    /// Hellos of a terminal in one life.
    pub hellos: u32,
    /// Hellos of a terminal in all its lives.
    pub hellos_in_all: u32,
    /// Hosts of the ledger; a terminal that reconnects connects to any of them.
    pub hosts: usize,
    /// Times that the ledger is set back to a copy, which is made at any moment.
    pub set_backs: u8,
    /// Times that a host drops a terminal's conversation because no answer came.
    pub idle_timeouts: u8,
    /// Power losses of all terminals together.
    pub terminal_crashes: u8,
    /// Power losses of hosts for each terminal, which are independent as if each had its own hosts.
    pub host_crashes: u8,
    /// Commits in doubt: done, but requested again.
    pub commits_in_doubt: u8,
    /// Are the links sealed?
    pub sealed: bool,
    /// Frames of any earlier time that an attacker delivers at each station, to either end.
    pub replays: u8,
    /// Messages in clear that the attacker forges at each station.
    pub forgeries: u8,
    /// Is access by card?
    pub cards: bool,
    /// Orders of an operator: to block a card, or to unblock it.
    pub orders: u8,
    /// A bug of the ledger, which the model checker must detect.
    pub bug: Option<InjectedBug>,
}

impl Bounds {
    /// One terminal on a serial line: frames are reordered, a commit is in doubt, both ends lose power.
    const SERIAL: Self = Self {
        name: "serial",
        link: LinkKind::Serial,
        terminals: 1,
        reliable: 0,
        answers: 2,
        menu: &["deposit 1", "withdraw 2"],
        balance: 1,
        frames_in_flight: 2,
        links: 1,
        hellos: 2,
        hellos_in_all: 3,
        hosts: 1,
        set_backs: 0,
        idle_timeouts: 0,
        terminal_crashes: 1,
        host_crashes: 1,
        commits_in_doubt: 1,
        sealed: false,
        replays: 0,
        forgeries: 0,
        cards: false,
        orders: 0,
        bug: None,
    };

    /// Also, the host drops a conversation when its idle time ends; frames keep their order.
    const IDLE: Self = Self { name: "idle", frames_in_flight: 1, idle_timeouts: 1, ..Self::SERIAL };

    /// One terminal that reconnects while its old link is open: its conversation is parked or taken over.
    const CONNECTIONS: Self =
        Self { name: "connections", link: LinkKind::Connection, links: 2, idle_timeouts: 1, ..Self::SERIAL };

    /// Two terminals that withdraw the same money.
    const TWO: Self = Self {
        name: "two",
        terminals: 2,
        menu: &["withdraw 1"],
        frames_in_flight: 1,
        hellos_in_all: 2,
        commits_in_doubt: 0,
        ..Self::SERIAL
    };

    /// The same with reordered frames, but no crash of the host.
    const REORDERED: Self = Self { name: "reordered", frames_in_flight: 2, host_crashes: 0, ..Self::TWO };

    /// All faults of `SERIAL` at one terminal, while a second one withdraws the same money at any time. The
    /// first sees the second only by the balance, which the second's link cannot affect: that link is
    /// reliable, to keep the states countable.
    const ALL: Self = Self { name: "all", terminals: 2, reliable: 1, menu: &["withdraw 1"], ..Self::SERIAL };

    /// One terminal that moves between two hosts, whose requests reach the ledger at any time.
    const HOSTS: Self = Self {
        name: "hosts",
        hosts: 2,
        hellos: 3,
        frames_in_flight: 1,
        idle_timeouts: 0,
        terminal_crashes: 0,
        host_crashes: 0,
        commits_in_doubt: 0,
        ..Self::CONNECTIONS
    };

    /// The ledger is set back to a copy, while a terminal on a serial line and its host live on.
    const SET_BACK: Self = Self {
        name: "set-back",
        set_backs: 1,
        frames_in_flight: 1,
        terminal_crashes: 0,
        commits_in_doubt: 0,
        ..Self::SERIAL
    };

    /// One terminal with a key, and an attacker on its line; frames keep their order, unless the attacker changes it.
    const SEALED: Self = Self {
        name: "sealed",
        sealed: true,
        replays: 2,
        forgeries: 1,
        menu: &["withdraw 1"],
        frames_in_flight: 1,
        commits_in_doubt: 0,
        ..Self::SERIAL
    };

    /// The same on connections, where a hello is replayed on another one too.
    const SEALED_CONNECTIONS: Self = Self {
        name: "sealed-connections",
        link: LinkKind::Connection,
        links: 2,
        replays: 1,
        terminal_crashes: 0,
        ..Self::SEALED
    };

    /// Two terminals where both cards can be used, right and wrong PINs, and an operator who blocks and unblocks. The second's link has
    /// no faults.
    const CARDS: Self = Self {
        name: "cards",
        cards: true,
        orders: 2,
        terminals: 2,
        reliable: 1,
        answers: 3,
        menu: &["withdraw 1"],
        frames_in_flight: 1,
        hellos_in_all: 2,
        host_crashes: 0,
        commits_in_doubt: 0,
        ..Self::SERIAL
    };

    /// One terminal where a card is blocked by wrong PINs, and where both ends lose power.
    const CARD_TRIES: Self = Self {
        name: "card-tries",
        terminals: 1,
        reliable: 0,
        answers: 5,
        orders: 1,
        host_crashes: 1,
        commits_in_doubt: 1,
        ..Self::CARDS
    };

    /// A transfer that is confirmed, with all faults of `SERIAL`.
    const TRANSFER: Self = Self { name: "transfer", answers: 6, orders: 1, menu: &["4"], ..Self::CARD_TRIES };

    /// A sealed link and an attacker.
    const SEALED_CARDS: Self = Self {
        name: "sealed-cards",
        sealed: true,
        replays: 1,
        answers: 3,
        orders: 1,
        hellos_in_all: 2,
        commits_in_doubt: 0,
        ..Self::CARD_TRIES
    };

    /// Two terminals on links that reorder frames, with a crash of each side.
    const BOTH: Self = Self { name: "both", frames_in_flight: 2, ..Self::TWO };

    /// Configurations that take a few seconds.
    pub const SMALL: &[Self] = &[
        Self { hellos_in_all: 2, menu: &["withdraw 2"], ..Self::IDLE },
        Self { hellos_in_all: 2, frames_in_flight: 1, ..Self::CONNECTIONS },
        Self { host_crashes: 0, ..Self::TWO },
        Self { menu: &["withdraw 2"], ..Self::HOSTS },
        Self { host_crashes: 0, ..Self::SET_BACK },
        Self { hellos_in_all: 2, replays: 1, terminal_crashes: 0, ..Self::SEALED },
    ];

    /// Configurations that take a few minutes.
    pub const LARGE: &[Self] = &[
        Self::SERIAL,
        Self::IDLE,
        Self::CONNECTIONS,
        Self::TWO,
        Self::REORDERED,
        Self::ALL,
        Self::HOSTS,
        Self::SET_BACK,
        Self::SEALED,
        Self::SEALED_CONNECTIONS,
    ];

    /// Configurations with cards that take less than a minute.
    pub const SMALL_CARDS: &[Self] = &[
        Self { orders: 1, ..Self::CARDS },
        Self { answers: 4, hellos_in_all: 2, commits_in_doubt: 0, ..Self::CARD_TRIES },
        Self { hellos_in_all: 2, commits_in_doubt: 0, orders: 0, ..Self::TRANSFER },
        Self { host_crashes: 0, terminal_crashes: 0, orders: 0, ..Self::SEALED_CARDS },
    ];

    /// Configurations with cards that take a few minutes.
    pub const LARGE_CARDS: &[Self] = &[Self::CARDS, Self::CARD_TRIES, Self::TRANSFER, Self::SEALED_CARDS];

    /// Configurations that take 15 minutes and 16 GB of memory (122 million unique states).
    pub const HUGE: &[Self] = &[Self::BOTH];
}

impl Bounds {
    /// Is this terminal's link reliable?
    pub(super) fn is_reliable(&self, at: usize) -> bool {
        at + self.reliable >= self.terminals
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.link {
            LinkKind::Serial => "serial lines",
            LinkKind::Connection => "connections",
        };
        write!(
            f,
            "{}: {} terminal(s) on {kind}, {} of them without faults, {} answers each of {:?}, balance {}; \
             any of the last {} frame(s) sent each way arrives at any time, any number of times or never; \
             {} link(s) a terminal to {} host(s), {} hellos a life and {} in all, {} idle timeout(s) each; {} power loss(es) \
             of terminals, {} of hosts for each terminal, {} commit(s) in doubt, {} set-back(s)",
            self.name,
            self.terminals,
            self.reliable,
            self.answers,
            self.menu,
            self.balance,
            self.frames_in_flight,
            self.links,
            self.hosts,
            self.hellos,
            self.hellos_in_all,
            self.idle_timeouts,
            self.terminal_crashes,
            self.host_crashes,
            self.commits_in_doubt,
            self.set_backs
        )?;
        if self.sealed {
            let Self { replays, forgeries, .. } = self;
            write!(f, "; sealed, {replays} replay(s) of any frame and {forgeries} forged in clear for each")?;
        }
        if self.cards {
            write!(f, "; access by one of two cards, {} order(s) of an operator", self.orders)?;
        }
        match self.bug {
            Some(bug) => write!(f, "; injected bug: {bug:?}"),
            None => Ok(()),
        }
    }
}
