//! Fast reader of the JSON objects that a host sends.
//!
//! It reads every well-formed object (RFC 8259) correctly, but does not detect every malformed one: a load
//! generator must take less time for a message than the server that it measures.

/// The fields of a host's message. Strings are the bytes between the quotes, escapes included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct JsonReply<'a> {
    /// Bytes from the first to the closing brace.
    pub(super) length: usize,
    pub(super) seq: Option<u64>,
    pub(super) re: Option<u64>,
    pub(super) input: Option<bool>,
    pub(super) data: &'a [u8],
    pub(super) end: bool,
    pub(super) error: Option<&'a [u8]>,
    pub(super) notice: Option<&'a [u8]>,
    pub(super) outcome: Option<&'a [u8]>,
    pub(super) operation: Option<&'a [u8]>,
    pub(super) reason: Option<&'a [u8]>,
    pub(super) amount: Option<u64>,
    pub(super) balance: Option<u64>,
    /// In a welcome: the ledger's identity, and the epoch of the hello.
    pub(super) ledger: Option<&'a [u8]>,
    pub(super) start: Option<u64>,
    pub(super) attempt: Option<u64>,
}

/// A value of a known type.
#[derive(Clone, Copy)]
enum JsonValue<'a> {
    Text(&'a [u8]),
    Number(u64),
    Bool(bool),
    /// Null, a number other than an unsigned integer, an object or an array.
    Other,
}

/// Reads the object at the start of `bytes`; `None` if it is incomplete or not an object.
pub(super) fn read(bytes: &[u8]) -> Option<JsonReply<'_>> {
    read_usual_order(bytes).or_else(|| read_any_order(bytes))
}

/// Fast path: reads the messages that this project's server sends most, with the fields in its order; `None`
/// for any other.
///
/// It takes a quarter of the instructions of [`read_any_order`].
fn read_usual_order(bytes: &[u8]) -> Option<JsonReply<'_>> {
    let mut object = JsonReply { input: Some(true), ..JsonReply::default() };
    let (seq, rest) = match bytes.strip_prefix(br#"{"seq":"#) {
        None => (None, bytes.strip_prefix(b"{")?),
        Some(rest) => {
            let (seq, rest) = number(rest)?;
            let (re, rest) = match rest.strip_prefix(br#","re":"#) {
                None => (None, rest),
                Some(rest) => number(rest).map(|(re, rest)| (Some(re), rest))?,
            };
            object.re = re;
            (Some(seq), rest.strip_prefix(b",")?)
        }
    };
    object.seq = seq;
    let rest = rest.strip_prefix(br#""input":true,"data":""#)?;
    let (text, rest) = rest.split_at_checked(memchr::memchr(b'"', rest)?)?;
    if text.last() == Some(&b'\\') {
        return None;
    }
    object.data = text;
    let rest = match rest.strip_prefix(br#"","outcome":"done","operation":""#) {
        None => rest.strip_prefix(b"\"}")?,
        Some(rest) => {
            object.outcome = Some(b"done");
            let (operation, rest) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'"')?)?;
            object.operation = Some(operation);
            let rest = match rest.strip_prefix(br#"","amount":"#) {
                None => rest.strip_prefix(b"\"")?,
                Some(rest) => {
                    let (amount, rest) = number(rest)?;
                    object.amount = Some(amount);
                    rest
                }
            };
            let (balance, rest) = number(rest.strip_prefix(br#","balance":"#)?)?;
            object.balance = Some(balance);
            rest.strip_prefix(b"}")?
        }
    };
    object.length = bytes.len().saturating_sub(rest.len());
    Some(object)
}

/// The unsigned integer at the start, and the bytes behind it; `None` for any other number.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(bytes.iter().position(|byte| !byte.is_ascii_digit())?)?;
    if digits.is_empty() || !matches!(rest.first(), Some(b',' | b'}')) {
        return None;
    }
    let sum = |sum: u64, byte: &u8| sum.checked_mul(10)?.checked_add(u64::from(byte & 15));
    Some((digits.iter().try_fold(0, sum)?, rest))
}

/// Reads an object with any fields in any order.
fn read_any_order(bytes: &[u8]) -> Option<JsonReply<'_>> {
    let mut cursor = Cursor(bytes);
    let mut object = JsonReply::default();
    cursor.expect(b'{')?;
    if cursor.peek()? != b'}' {
        loop {
            cursor.expect(b'"')?;
            let key = cursor.string()?;
            cursor.expect(b':')?;
            let value = cursor.value()?;
            object.set(key, value);
            if cursor.peek()? != b',' {
                break;
            }
            cursor.skip();
        }
    }
    cursor.expect(b'}')?;
    object.length = bytes.len().saturating_sub(cursor.0.len());
    Some(object)
}

impl<'a> JsonReply<'a> {
    fn set(&mut self, key: &[u8], value: JsonValue<'a>) {
        match (key, value) {
            (b"data", JsonValue::Text(text)) => self.data = text,
            (b"seq", JsonValue::Number(number)) => self.seq = Some(number),
            (b"re", JsonValue::Number(number)) => self.re = Some(number),
            (b"input", JsonValue::Bool(is)) => self.input = Some(is),
            (b"end", JsonValue::Bool(is)) => self.end = is,
            (b"error", JsonValue::Text(text)) => self.error = Some(text),
            (b"notice", JsonValue::Text(text)) => self.notice = Some(text),
            (b"outcome", JsonValue::Text(text)) => self.outcome = Some(text),
            (b"operation", JsonValue::Text(text)) => self.operation = Some(text),
            (b"reason", JsonValue::Text(text)) => self.reason = Some(text),
            (b"amount", JsonValue::Number(number)) => self.amount = Some(number),
            (b"balance", JsonValue::Number(number)) => self.balance = Some(number),
            (b"ledger", JsonValue::Text(text)) => self.ledger = Some(text),
            (b"start", JsonValue::Number(number)) => self.start = Some(number),
            (b"attempt", JsonValue::Number(number)) => self.attempt = Some(number),
            _ => {}
        }
    }
}

/// The bytes that are still to be read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// Skips white space and returns the next byte without taking it.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let (first, rest) = self.0.split_first()?;
            if !matches!(first, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*first);
            }
            self.0 = rest;
        }
    }

    fn skip(&mut self) {
        self.0 = self.0.get(1..).unwrap_or_default();
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.skip())
    }

    /// Takes a string up to its closing quote, the quote included.
    fn string(&mut self) -> Option<&'a [u8]> {
        let mut from = 0;
        loop {
            let end = from + quote(self.0.get(from..)?)?;
            let (text, rest) = self.0.split_at_checked(end)?;
            // A quote behind an odd number of backslashes is part of the string.
            let slashes = || text.iter().rev().take_while(|byte| **byte == b'\\').count();
            if text.last() != Some(&b'\\') || slashes() % 2 == 0 {
                self.0 = rest.get(1..)?;
                return Some(text);
            }
            from = end + 1;
        }
    }

    fn value(&mut self) -> Option<JsonValue<'a>> {
        match self.peek()? {
            b'"' => {
                self.skip();
                self.string().map(JsonValue::Text)
            }
            b'{' | b'[' => self.nested(),
            _ => self.plain(),
        }
    }

    /// Takes a number or a literal name.
    fn plain(&mut self) -> Option<JsonValue<'a>> {
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        let (word, rest) = self.0.split_at_checked(self.0.iter().position(ends)?)?;
        self.0 = rest;
        let digit = |sum: u64, byte: &u8| match byte {
            b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(byte & 15)),
            _ => None,
        };
        Some(match word {
            b"" => return None,
            b"true" => JsonValue::Bool(true),
            b"false" => JsonValue::Bool(false),
            number => number.iter().try_fold(0, digit).map_or(JsonValue::Other, JsonValue::Number),
        })
    }

    /// Skips an object or an array.
    fn nested(&mut self) -> Option<JsonValue<'a>> {
        let mut depth = 0usize;
        loop {
            let byte = self.peek()?;
            self.skip();
            match byte {
                b'"' => drop(self.string()?),
                b'{' | b'[' => depth = depth.saturating_add(1),
                b'}' | b']' if depth == 1 => return Some(JsonValue::Other),
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
}

/// The index of the first quote. A name is short, and a loop over its bytes ends before memchr's search has
/// started.
fn quote(bytes: &[u8]) -> Option<usize> {
    const SHORT: usize = 12;
    let is_quote = |byte: &u8| *byte == b'"';
    let short = bytes.get(..SHORT).unwrap_or(bytes).iter().position(is_quote);
    short.or_else(|| memchr::memchr(b'"', bytes.get(SHORT..)?).map(|at| at + SHORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_and_an_incomplete_one_is_not() {
        let text = br#"{"seq":8,"re":7,"input":true,"data":"A \"b\" \\","outcome":"done","amount":4000,"balance":14000} "#;
        let object = read(text).unwrap();
        let expected = JsonReply {
            length: text.len() - 1,
            seq: Some(8),
            re: Some(7),
            input: Some(true),
            data: br#"A \"b\" \\"#,
            outcome: Some(b"done"),
            amount: Some(4000),
            balance: Some(14000),
            ..JsonReply::default()
        };
        assert_eq!(object, expected);
        for end in 0..text.len() - 1 {
            assert_eq!(read(&text[..end]), None, "{end}");
        }
    }

    #[test]
    fn unknown_fields_and_types_are_skipped() {
        let text = br#" { "x" : {"y":[1,"}]",{}],"seq":1} , "z":null, "amount":-4.5e3, "seq" :
            2,"re":99999999999999999999,"end":true, "input" : false }{"#;
        let object = read(text).unwrap();
        assert_eq!((object.seq, object.re, object.amount), (Some(2), None, None));
        assert_eq!((object.end, object.input, object.length), (true, Some(false), text.len() - 1));
        assert_eq!(read(b"{}").unwrap().length, 2);
    }

    #[test]
    fn both_readers_agree_on_the_messages_of_the_server() {
        use atm_core::{
            codec::json,
            ledger::{Outcome, Receipt},
            message::Reply,
            money::Amount,
            screen::{Screen, Screens},
        };
        let (amount, balance) = (Amount::from_units(40).unwrap(), Amount::from_minor(14_050).unwrap());
        let done = |receipt| vec![Screen::Outcome(Outcome::Done(receipt)), Screen::Menu];
        for screens in [
            vec![Screen::Menu],
            vec![Screen::DepositPrompt],
            vec![Screen::WithdrawPrompt { balance }],
            done(Receipt::Balance { balance }),
            done(Receipt::Deposited { amount, balance }),
            done(Receipt::Withdrawn { amount, balance }),
        ] {
            let screens = Screens::from_slice(&screens).unwrap();
            for re in [None, Some(7)] {
                let mut bytes = [0; 1024];
                let reply = Reply { seq: 8, re, screens: screens.clone(), welcome: None };
                let length = json::write_reply(&reply, &mut bytes).unwrap();
                let object = read_usual_order(&bytes[..length]).unwrap();
                assert_eq!(Some(object), read_any_order(&bytes));
                assert_eq!((object.seq, object.re, object.length), (Some(8), re, length));
                for end in 0..length {
                    assert_eq!(read(&bytes[..end]), None, "{end}");
                }
            }
            let mut bytes = [0; 1024];
            let length = json::write_bare(None, &screens, &mut bytes).unwrap();
            assert_eq!(read_usual_order(&bytes), read_any_order(&bytes[..length]));
            assert!(read_usual_order(&bytes).is_some_and(|object| object.length == length));
        }
    }

    #[test]
    fn text_that_is_not_an_object_is_refused() {
        for text in ["[1]", "{1:2}", "{\"a\"}", "{\"a\":}", "{\"a\":1 2}", "text", ""] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
