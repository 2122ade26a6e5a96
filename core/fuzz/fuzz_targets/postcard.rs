//! Fuzzes the postcard codec: any bytes are a message or a fault; messages survive encoding and decoding.
#![no_main]
use atm_core::{
    codec::{MessageText, postcard},
    message::{TerminalMessage, Reply},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let mut out = [0; 512];
    match postcard::read_terminal(body) {
        Ok(Some(TerminalMessage::Hello(hello))) => {
            let length = postcard::write_hello(&hello, &mut out).expect("a hello has room");
            assert_eq!(postcard::read_terminal(&out[..length]), Ok(Some(TerminalMessage::Hello(hello))));
        }
        Ok(Some(TerminalMessage::Answer { re, answer })) => {
            if let Some(text) = answer.text() {
                let length = postcard::write_answer(re, text, &mut out).expect("an answer has room");
                let again = postcard::read_terminal(&out[..length]);
                assert_eq!(again, Ok(Some(TerminalMessage::Answer { re, answer: answer.clone() })));
            }
        }
        Ok(None) | Err(_) => {}
    }
    if let Ok(Some(message)) = postcard::read_host(body) {
        let _ = message.text.to_string();
        if let (MessageText::Screens(screens), Some(seq)) = (message.text.clone(), message.seq) {
            let reply = Reply { seq, re: message.re, screens, welcome: message.welcome };
            let length = postcard::write_reply(&reply, &mut out).expect("a reply has room");
            assert_eq!(postcard::read_host(&out[..length]), Ok(Some(message)));
        }
    }
});
