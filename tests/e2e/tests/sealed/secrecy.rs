//! Where a key is: in its file, and nowhere else.
use crate::host::{SealedHost, Station};
use atm_e2e::TerminalProgram;
use atm_host::access::KeyFile;

#[test]
fn no_file_and_no_output_but_the_key_file_has_the_key() {
    let (host, station) = (SealedHost::new(), Station::new());
    let address = host.listen().to_string();
    let mut shown = String::new();
    let mut keys = Vec::new();
    for _ in 0..2 {
        let mut client = TerminalProgram::start(station.client(&[&address]));
        client.wait_for("Welcome");
        client.press("balance\r");
        client.wait_for("Your balance is $100.");
        client.press("exit\r");
        shown.push_str(&client.shown());
        assert_eq!(client.finish(), Some(0));
        keys.push(*KeyFile::read(&station.key()).unwrap().key.key().bytes());
    }
    assert_ne!(keys[0], keys[1]);
    let files = station.other_files();
    assert!(files.iter().any(|(path, _)| path.ends_with("atm/history")), "{files:?}");
    let texts = files.iter().map(|(path, content)| (path.display().to_string(), &content[..]));
    for (name, content) in texts.chain([("the output".to_owned(), shown.as_bytes())]) {
        for key in &keys {
            // Four bytes of a random key are in no other text by chance.
            let hex = format!("{:02x}{:02x}{:02x}{:02x}", key[0], key[1], key[2], key[3]);
            assert!(!content.windows(4).any(|bytes| bytes == &key[..4]), "{name}");
            assert!(!content.windows(8).any(|bytes| bytes.eq_ignore_ascii_case(hex.as_bytes())), "{name}");
        }
    }
}
