//! What a key file must be, and that a key is only in it.
use super::*;
use atm_core::seal::Key;
use std::{fs, io::Read};

fn key_file(step: u32) -> KeyFile {
    let first = TerminalKey::new(Key::from([0xab; 32]), 3u32.try_into().unwrap(), 0);
    KeyFile { terminal: "kiosk-7".parse().unwrap(), key: first.forward(step, step).unwrap() }
}

fn write(path: &Path, text: &str) {
    let _ = fs::remove_file(path);
    private_file::create(path, text.as_bytes()).unwrap();
}

fn reason(path: &Path) -> String {
    let text = KeyFile::read(path).unwrap_err().to_string();
    text.strip_prefix(&format!("the key file {}: ", path.display())).unwrap().to_owned()
}

#[test]
fn a_key_file_is_four_lines_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kiosk-7.key");
    let file = key_file(0);
    file.create(&path).unwrap();
    let text = format!("terminal = \"kiosk-7\"\nseries = 3\nstep = 0\nkey = \"{}\"\n", "ab".repeat(32));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(KeyFile::read(&path).unwrap(), file);
    let longest = KeyFile {
        terminal: "x".repeat(32).parse().unwrap(),
        key: TerminalKey::new(Key::from([1; 32]), NonZeroU32::MAX, u32::MAX),
    };
    longest.replace(&path).unwrap();
    assert_eq!(KeyFile::read(&path).unwrap(), longest);
    assert!(longest.text().len() < MAX_TEXT, "it is not copied while it grows");
}

#[test]
fn an_existing_file_or_link_is_not_overwritten_by_create() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kiosk-7.key");
    key_file(0).create(&path).unwrap();
    assert!(key_file(1).create(&path).is_err());
    assert_eq!(KeyFile::read(&path).unwrap(), key_file(0));
    #[cfg(unix)]
    {
        let (link, target) = (folder.path().join("link"), folder.path().join("target"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(key_file(0).create(&link).is_err());
        assert!(!target.exists());
    }
}

#[cfg(unix)]
#[test]
fn a_replaced_file_is_private_and_the_old_content_is_overwritten() {
    use std::{io::Seek, os::unix::fs::PermissionsExt};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kiosk-7.key");
    key_file(0).create(&path).unwrap();
    let mut old = fs::File::open(&path).unwrap();
    // A write that was interrupted.
    fs::write(folder.path().join("kiosk-7.key.tmp"), "draft").unwrap();
    key_file(1).replace(&path).unwrap();
    assert_eq!(KeyFile::read(&path).unwrap(), key_file(1));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no draft is left");
    let mut content = String::new();
    old.rewind().unwrap();
    old.read_to_string(&mut content).unwrap();
    assert!(!content.is_empty() && content.bytes().all(|byte| byte == b'0'), "{content}");
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_use_a_link_and_a_device_are_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kiosk-7.key");
    key_file(0).create(&path).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(reason(&path).ends_with("chmod 600"), "{mode:o}");
    }
    for mode in [0o400, 0o600, 0o700] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(KeyFile::read(&path).is_ok(), "{mode:o}");
    }
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    for other in [&link, folder.path(), Path::new("/dev/null")] {
        assert!(reason(other).contains("not a regular file"), "{}", other.display());
    }
    assert!(reason(&folder.path().join("absent")).contains("No such file"));
}

#[test]
fn another_text_is_refused_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kiosk-7.key");
    let text = key_file(0).text();
    let (lines, hex) = (text.as_str(), "ab".repeat(32));
    for wrong in [
        String::new(),
        lines.replace("series = 3", "series = 0"),
        lines.replace("series = 3", "series = +3"),
        lines.replace("series = 3", "series = 4294967296"),
        lines.replace("step = 0", "step = -1"),
        lines.replace("step = 0", "step = 00"),
        lines.replace("step = 0\n", ""),
        lines.replace("kiosk-7", "kiosk 7"),
        lines.replace(&hex, &hex.to_uppercase()),
        lines.replace(&hex, &hex[1..]),
        lines.replace(&hex, &hex[2..]),
        lines.replace(&hex, &format!("{hex}ab")),
        lines.replace(&hex, &format!("+b{}", &hex[2..])),
        lines.replace(&hex, &"ä".repeat(32)),
        lines.replace('\n', "\r\n"),
        lines.trim_end().to_owned(),
        format!("{lines}\n"),
        format!("{lines}{}", "#".repeat(MAX_TEXT)),
    ] {
        write(&path, &wrong);
        let reason = reason(&path);
        assert!(reason.starts_with("it is not a terminal's key"), "{wrong}: {reason}");
    }
    fs::remove_file(&path).unwrap();
    private_file::create(&path, b"\xff\xfe").unwrap();
    assert!(reason(&path).starts_with("it is not a terminal's key"));
}

#[test]
fn debug_does_not_show_the_key() {
    let shown = format!("{:?}", key_file(0));
    assert!(shown.contains("kiosk-7") && shown.contains("step: 0"), "{shown}");
    assert!(!shown.contains("ab") && !shown.contains("171"), "{shown}");
}
