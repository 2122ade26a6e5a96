//! The text of a state file, and what it must be.
use super::StateFileError;
use atm_core::{
    ledger::{Name, Numbers},
    terminal::Memory,
};
use std::{fmt, num::NonZeroU32, str::FromStr};

/// The beginning of the first line; the version follows.
const TITLE: &str = "atm terminal state ";

/// The version of the format without a key, and of that with one. A program that knows only the first refuses the second: it
/// would send what the key seals in clear.
const CLEAR: u32 = 1;
const SEALED: u32 = 2;

/// The text for an unknown value.
const NONE: &str = "-";

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) name: Name,
    pub(super) start: u64,
    pub(super) memory: Memory,
    pub(super) seal: Option<SealState>,
}

/// Which key the terminal used last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SealState {
    pub(super) series: NonZeroU32,
    /// The last step of the series whose hello the host has welcomed.
    pub(super) welcomed: Option<u32>,
}

impl Contents {
    /// Those of a terminal that has never started.
    pub(super) fn new(name: Name) -> Self {
        Self { name, start: 0, memory: Memory::default(), seal: None }
    }

    fn lines(&self) -> String {
        let Self { name, start, memory: Memory { ledger, shown, pending }, seal } = self;
        let version = if seal.is_some() { SEALED } else { CLEAR };
        let (ledger, pending) = (text(*ledger), text(*pending));
        let seal = seal.map_or_else(String::new, |SealState { series, welcomed }| {
            format!("series {series}\nwelcomed {}\n", text(welcomed))
        });
        format!(
            "{TITLE}{version}\nterminal {name}\nstart {start}\nledger {ledger}\nshown {shown}\npending {pending}\n{seal}"
        )
    }
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(lines.as_bytes());
        writeln!(f, "{lines}crc32 {checksum:08x}")
    }
}

impl FromStr for Contents {
    type Err = StateFileError;

    fn from_str(text: &str) -> Result<Self, StateFileError> {
        let mut lines = text.lines();
        let version =
            lines.next().and_then(|line| line.strip_prefix(TITLE)).ok_or(StateFileError::Foreign)?;
        let is_sealed = match version.parse::<u32>() {
            Ok(CLEAR) => false,
            Ok(SEALED) => true,
            Ok(newer) if newer > SEALED => return Err(StateFileError::Newer),
            _ => return Err(StateFileError::Damaged),
        };
        let contents = fields(lines, is_sealed).ok_or(StateFileError::Damaged)?;
        // Only the exact text that this program writes is valid; this compares the checksum too.
        if contents.to_string() == text { Ok(contents) } else { Err(StateFileError::Damaged) }
    }
}

fn fields<'a>(mut lines: impl Iterator<Item = &'a str>, is_sealed: bool) -> Option<Contents> {
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let name = field("terminal")?.parse().ok()?;
    let start = number(field("start")?)?;
    let ledger = optional(field("ledger")?, |text| text.parse().ok())?;
    let shown = number(field("shown")?)?;
    let pending = optional(field("pending")?, number)?;
    let seal = if is_sealed {
        let series = field("series")?.parse().ok()?;
        Some(SealState { series, welcomed: optional(field("welcomed")?, |text| text.parse().ok())? })
    } else {
        None
    };
    Some(Contents { name, start, memory: Memory { ledger, shown, pending }, seal })
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number < Numbers::MAX)
}

/// `Some(None)` for an unknown value.
fn optional<'a, T>(text: &'a str, read: impl Fn(&'a str) -> Option<T>) -> Option<Option<T>> {
    if text == NONE { Some(None) } else { read(text).map(Some) }
}
