//! How much of everything there is in a model: what makes it finite.
use super::ledger::InjectedBug;
use atm_core::host::LinkKind;
use std::fmt;

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// What it is called.
    pub name: &'static str,
    /// What kind of links there are.
    pub link: LinkKind,
    /// How many terminals, at most two.
    pub terminals: usize,
    /// How many of them are on a link that does what it should, and keep their power.
    pub reliable: usize,
    /// How many answers are typed at each.
    pub answers: usize,
    /// What may be typed at the menu.
    pub menu: &'static [&'static str],
    /// What is on the account, in whole units.
    pub balance: u64,
    /// How many of the frames sent last on a link may still arrive, each way.
    pub frames_in_flight: usize,
    /// Lines of a terminal that are there at once.
    pub links: usize,
    /// How often a terminal says hello in one life.
    pub hellos: u32,
    /// How often it does in all its lives.
    pub hellos_in_all: u32,
    /// How often the host forgets a conversation for want of an answer, each terminal's.
    pub idle_timeouts: u8,
    /// How often terminals lose power, all together.
    pub terminal_crashes: u8,
    /// How often the host does. Its ends at two terminals need not do so at once, as those of two hosts.
    pub host_crashes: u8,
    /// How many commits are in doubt: done, and asked for again.
    pub commits_in_doubt: u8,
    /// How the ledger is bug.
    pub bug: Option<InjectedBug>,
}

impl Bounds {
    /// One terminal on a serial link: frames overtake each other, commits are in doubt, both ends lose power.
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
        idle_timeouts: 0,
        terminal_crashes: 1,
        host_crashes: 1,
        commits_in_doubt: 1,
        bug: None,
    };

    /// The host forgets conversations as well.
    const IDLE: Self = Self { name: "idle", frames_in_flight: 1, idle_timeouts: 1, ..Self::SERIAL };

    /// A terminal that comes again on a new link while the old one is still alive; the host parks its conversation.
    const CONNECTIONS: Self =
        Self { name: "connections", link: LinkKind::Connection, links: 2, idle_timeouts: 1, ..Self::SERIAL };

    /// Two terminals that want the same money.
    const TWO: Self = Self {
        name: "two",
        terminals: 2,
        menu: &["withdraw 1"],
        frames_in_flight: 1,
        hellos_in_all: 2,
        commits_in_doubt: 0,
        ..Self::SERIAL
    };

    /// The same, and frames overtake each other.
    const REORDERED: Self = Self { name: "reordered", frames_in_flight: 2, host_crashes: 0, ..Self::TWO };

    /// Everything together: a second terminal moves the same money at any time, while at the first frames overtake each
    /// other, commits are in doubt and both ends lose power. What the first sees of the second is the balance, which its
    /// link has no part in: that link is good here, or there would be more states than any machine can hold.
    const ALL: Self = Self { name: "all", terminals: 2, reliable: 1, menu: &["withdraw 1"], ..Self::SERIAL };

    /// Two terminals, both of them on links on which frames overtake each other, and a crash of each side at any time.
    const BOTH: Self = Self { name: "both", frames_in_flight: 2, ..Self::TWO };

    /// What takes a few seconds.
    pub const SMALL: &[Self] = &[
        Self { hellos_in_all: 2, menu: &["withdraw 2"], ..Self::IDLE },
        Self { hellos_in_all: 2, frames_in_flight: 1, ..Self::CONNECTIONS },
        Self { host_crashes: 0, ..Self::TWO },
    ];

    /// What takes a few minutes.
    pub const LARGE: &[Self] =
        &[Self::SERIAL, Self::IDLE, Self::CONNECTIONS, Self::TWO, Self::REORDERED, Self::ALL];

    /// What takes a quarter of an hour and 16 GB of memory (122 million different states).
    pub const HUGE: &[Self] = &[Self::BOTH];
}

impl Bounds {
    /// Is this terminal's link good? The last ones' are.
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
            "{}: {} terminal(s) on {kind}, {} of them without a fault, {} answers each of {:?}, balance {}; of the last {} frame(s) \
             sent each way any may arrive at any time, any number of times or never; {} link(s) a terminal, {} hellos a life and {} in all, {} idle timeout(s) each; {} crash(es) of terminals, {} of the \
             host's ends of each, {} commit(s) in doubt",
            self.name,
            self.terminals,
            self.reliable,
            self.answers,
            self.menu,
            self.balance,
            self.frames_in_flight,
            self.links,
            self.hellos,
            self.hellos_in_all,
            self.idle_timeouts,
            self.terminal_crashes,
            self.host_crashes,
            self.commits_in_doubt
        )?;
        match self.bug {
            Some(bug) => write!(f, "; injected bug: {bug:?}"),
            None => Ok(()),
        }
    }
}
