//! Strict JSON scanner (RFC 8259): a state machine that takes one byte at a time, finds the end of an object
//! and checks that it is well formed, in 8 bytes of state and without recursion.
//!
//! It runs before serde-json-core's parser, which accepts more than the standard and recurses over skipped
//! values. The `raw` wire uses it to split objects that come back to back.
use core::{fmt, mem};

/// The deepest nesting of objects and arrays; the outer object is level 1.
///
/// `serde-json-core` skips unknown fields by unbounded recursion: some 300 bytes of nested brackets overflow
/// a stack of 64 KiB in a debug build.
pub const MAX_DEPTH: u8 = 8;

// `Scanner::stack` has one bit for each level.
const _: () = assert!(MAX_DEPTH as u32 <= u8::BITS);

/// Scans one JSON object byte by byte.
///
/// It does not check UTF-8: inside a string it accepts any byte from 0x80 on. A number may have any size, and
/// a key may come twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scanner {
    state: ScanState,
    /// The open objects (1) and arrays (0), the innermost in the lowest bit.
    stack: u8,
    /// How many of them there are.
    depth: u8,
    /// Whether the current string is a key.
    key: bool,
    /// In a literal: its remaining bytes, the next one lowest. After `\u`: a 1, then the digits so far.
    part: u32,
}

/// The result of a pushed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scan {
    /// The object is incomplete.
    More,
    /// The byte just pushed was its closing brace.
    Done,
}

/// Why bytes are not one JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScanError {
    /// Not well-formed JSON, not an object, or incomplete.
    Malformed,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a well-formed JSON object",
            Self::TooDeep => "nested too deep",
        })
    }
}

impl core::error::Error for ScanError {}

/// What the scanner expects next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum ScanState {
    /// The object.
    #[default]
    Start,
    /// The first value of an array, or `]`.
    FirstValue,
    /// A value.
    Value,
    /// The first key of an object, or `}`.
    FirstKey,
    /// A key.
    Key,
    /// A colon.
    Colon,
    /// After a value: a comma or a closing bracket.
    After,
    /// The rest of `true`, `false` or `null`.
    Literal,
    /// The first digit of a number, after its minus sign.
    Minus,
    /// A point, an exponent or the number's end, after a zero.
    Zero,
    /// The same, or another digit.
    Integer,
    /// The first digit after a point.
    Point,
    /// Another digit after a point, an exponent or the number's end.
    Fraction,
    /// The sign or the first digit of an exponent, after its `e`.
    E,
    /// The first digit of an exponent, after its sign.
    ESign,
    /// Another digit of an exponent, or the number's end.
    Exponent,
    /// The rest of a string.
    Text,
    /// The rest of an escape, after its backslash.
    Backslash,
    /// The hexadecimal digits of an escape, after `\u`.
    Hex,
    /// The backslash of the low surrogate, after a high one.
    High,
    /// The `u` of the low surrogate.
    HighBackslash,
    /// The hexadecimal digits of the low surrogate.
    HighHex,
    /// Nothing: after the object, or after an error.
    End,
}

impl Scanner {
    /// A scanner before the first byte.
    pub const fn new() -> Self {
        Self { state: ScanState::Start, stack: 0, depth: 0, key: false, part: 0 }
    }

    /// Scans the next byte; white space may precede the object. After [`Scan::Done`] or an error every byte
    /// is [`ScanError::Malformed`]: use a new scanner for the next object.
    ///
    /// # Errors
    /// [`ScanError::Malformed`] at the first byte that cannot continue a well-formed object,
    /// [`ScanError::TooDeep`] at a bracket that opens a level beyond [`MAX_DEPTH`].
    pub fn push(&mut self, byte: u8) -> Result<Scan, ScanError> {
        // After an error the state stays `End`.
        let state = mem::replace(&mut self.state, ScanState::End);
        self.state = self.next(state, byte)?;
        Ok(if self.state == ScanState::End { Scan::Done } else { Scan::More })
    }

    fn next(&mut self, state: ScanState, byte: u8) -> Result<ScanState, ScanError> {
        use ScanState::*;
        let object = self.stack & 1 == 1;
        Ok(match state {
            Text => match byte {
                b'"' if self.key => Colon,
                b'"' => After,
                b'\\' => Backslash,
                b' '.. => Text,
                _ => return Err(ScanError::Malformed),
            },
            Backslash if byte == b'u' => self.part(1, Hex),
            Backslash if matches!(byte, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Text,
            High if byte == b'\\' => HighBackslash,
            HighBackslash if byte == b'u' => self.part(1, HighHex),
            Hex | HighHex => {
                let digit = char::from(byte).to_digit(16).ok_or(ScanError::Malformed)?;
                self.part = self.part << 4 | digit;
                match (self.part, state) {
                    (..=0xffff, _) => state,
                    (0x1_dc00..=0x1_dfff, HighHex) => Text,
                    (0x1_dc00..=0x1_dfff, _) | (_, HighHex) => return Err(ScanError::Malformed),
                    (0x1_d800..=0x1_dbff, _) => High,
                    _ => Text,
                }
            }
            Literal if byte == self.part as u8 => {
                self.part >>= 8;
                if self.part == 0 { After } else { Literal }
            }

            FirstValue | Value | Minus if byte == b'0' => Zero,
            FirstValue | Value | Minus | Integer if byte.is_ascii_digit() => Integer,
            Point | Fraction if byte.is_ascii_digit() => Fraction,
            E | ESign | Exponent if byte.is_ascii_digit() => Exponent,
            Zero | Integer if byte == b'.' => Point,
            Zero | Integer | Fraction if matches!(byte, b'e' | b'E') => E,
            E if matches!(byte, b'+' | b'-') => ESign,

            Start | FirstValue | Value | FirstKey | Key | Colon if is_white(byte) => state,
            Start if byte == b'{' => self.open(true)?,
            FirstKey | Key if byte == b'"' => self.text(true),
            Colon if byte == b':' => Value,
            FirstKey if byte == b'}' => self.close(),
            FirstValue if byte == b']' => self.close(),
            FirstValue | Value => match byte {
                b'{' => self.open(true)?,
                b'[' => self.open(false)?,
                b'"' => self.text(false),
                b'-' => Minus,
                b't' => self.part(u32::from_le_bytes(*b"rue\0"), Literal),
                b'f' => self.part(u32::from_le_bytes(*b"alse"), Literal),
                b'n' => self.part(u32::from_le_bytes(*b"ull\0"), Literal),
                _ => return Err(ScanError::Malformed),
            },
            // A number has no terminator: the byte after it ends it.
            After | Zero | Integer | Fraction | Exponent => match byte {
                b',' if object => Key,
                b',' => Value,
                b'}' if object => self.close(),
                b']' if !object => self.close(),
                _ if is_white(byte) => After,
                _ => return Err(ScanError::Malformed),
            },
            _ => return Err(ScanError::Malformed),
        })
    }

    fn text(&mut self, key: bool) -> ScanState {
        self.key = key;
        ScanState::Text
    }

    fn part(&mut self, part: u32, state: ScanState) -> ScanState {
        self.part = part;
        state
    }

    fn open(&mut self, object: bool) -> Result<ScanState, ScanError> {
        if self.depth >= MAX_DEPTH {
            return Err(ScanError::TooDeep);
        }
        self.depth += 1;
        self.stack = self.stack << 1 | u8::from(object);
        Ok(if object { ScanState::FirstKey } else { ScanState::FirstValue })
    }

    fn close(&mut self) -> ScanState {
        self.depth = self.depth.saturating_sub(1);
        self.stack >>= 1;
        if self.depth == 0 { ScanState::End } else { ScanState::After }
    }
}

fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Checks that `body` is exactly one object, with only white space around it.
///
/// # Errors
/// Those of [`Scanner::push`], and [`ScanError::Malformed`] for an incomplete object or bytes after it.
pub fn check(body: &[u8]) -> Result<(), ScanError> {
    let mut scanner = Scanner::new();
    let mut scan = Scan::More;
    for &byte in body {
        if scan == Scan::More || !is_white(byte) {
            scan = scanner.push(byte)?;
        }
    }
    if scan == Scan::Done { Ok(()) } else { Err(ScanError::Malformed) }
}

#[cfg(test)]
mod tests;
