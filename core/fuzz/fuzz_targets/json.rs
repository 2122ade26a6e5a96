//! Fuzzes the JSON codec against serde_json: both accept the same bodies and decode them to the same values.
#![no_main]
use atm_core::{
    codec::{json, scan},
    message::{Answer, Fault, TerminalMessage},
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// The depth of nesting of a text, outside its strings.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut string, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if string => escaped = true,
            b'"' => string = !string,
            b'{' | b'[' if !string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fuzz_target!(|body: &[u8]| {
    let checked = scan::check(body);
    let read = json::read_terminal(body);
    let _ = json::read_host(body).map(|message| message.map(|message| message.text.to_string()));
    let Ok(text) = str::from_utf8(body) else {
        assert_eq!(read, Err(Fault::NotUtf8));
        return;
    };
    let value = match serde_json::from_str::<Value>(text) {
        // RFC 8259 does not limit numbers; serde_json holds them in 64 bits.
        Err(error) if error.to_string().starts_with("number out of range") => return,
        // serde_json's limit is 128 levels; the codec's is 8.
        Err(error) if error.to_string().starts_with("recursion limit") => return,
        other => other.ok(),
    };
    let good = value.as_ref().is_some_and(Value::is_object) && depth(text) <= usize::from(scan::MAX_DEPTH);
    assert_eq!(checked.is_ok(), good, "{text:?}");
    if let Ok(Some(TerminalMessage::Answer { re, answer })) = read {
        let value = value.expect("a decoded body is JSON");
        assert_eq!(value.get("re").and_then(Value::as_u64), re);
        assert_eq!(answer, Answer::new(value["data"].as_str().expect("an answer has data")));
    }
});
