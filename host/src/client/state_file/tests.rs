//! The state file: format, damage, locking, atomic writes.
use super::*;
use atm_core::ledger::LedgerId;
use std::{env, process};

mod sealed;

/// A temporary directory, removed at the end of the test.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = env::temp_dir().join(format!("atm-state-{}-{test}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("kiosk")
    }

    fn names(&self) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(&self.0).unwrap().map(name).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn open(path: &Path) -> io::Result<StateFile> {
    StateFile::open(path, &name("kiosk-7"))
}

fn refused(path: &Path) -> String {
    open(path).unwrap_err().to_string()
}

const MEMORY: Memory = Memory { ledger: Some(LedgerId(0xf3a1_b2c3_d4e5)), shown: 12, pending: Some(9) };

#[test]
fn the_next_start_reads_the_stored_memory_and_has_a_greater_number() {
    let directory = Directory::new("stored");
    let mut state = open(&directory.file()).unwrap();
    let first = state.profile();
    assert_eq!((first.name, first.memory), (Some(name("kiosk-7")), Memory::default()));
    state.store(&MEMORY, false).unwrap();
    drop(state);
    let second = open(&directory.file()).unwrap().profile();
    assert_eq!(second.memory, MEMORY);
    // Opening the file stores the start before the terminal says hello with it.
    let third = open(&directory.file()).unwrap().profile();
    assert!(first.start < second.start && second.start < third.start);
    assert_eq!(directory.names(), ["kiosk", "kiosk.lock"]);
}

#[test]
fn starts_grow_when_the_clock_is_set_back_and_end_below_2_to_the_53() {
    let directory = Directory::new("clock");
    let far = start_from_clock() + 1_000_000_000;
    for (start, next) in [(far, Some(far + 1)), (Numbers::MAX - 1, None), (Numbers::MAX, None)] {
        let contents = Contents { name: name("kiosk-7"), start, memory: MEMORY, seal: None };
        fs::write(directory.file(), contents.to_string()).unwrap();
        assert_eq!(open(&directory.file()).ok().map(|state| state.profile().start), next);
    }
}

#[test]
fn the_largest_number_is_read_back_and_one_out_of_range_is_damage() {
    let directory = Directory::new("numbers");
    for number in [Numbers::MAX - 1, Numbers::MAX, Numbers::MAX + 1, u64::MAX] {
        for memory in [Memory { shown: number, ..MEMORY }, Memory { pending: Some(number), ..MEMORY }] {
            let contents = Contents { name: name("kiosk-7"), start: 1, memory, seal: None };
            fs::write(directory.file(), contents.to_string()).unwrap();
            if number < Numbers::MAX {
                assert_eq!(open(&directory.file()).unwrap().profile().memory, memory);
            } else {
                assert!(refused(&directory.file()).contains("damaged"), "{number}");
            }
        }
    }
}

#[test]
fn the_format_is_the_documented_one() {
    let start = 1_795_444_800_000;
    let text = "atm terminal state 1\nterminal kiosk-7\nstart 1795444800000\nledger 0000f3a1b2c3d4e5\nshown 12\n\
                pending 9\ncrc32 e049a114\n";
    let contents = Contents { name: name("kiosk-7"), start, memory: MEMORY, seal: None };
    assert_eq!((contents.to_string().as_str(), text.parse()), (text, Ok(contents)));
}

#[test]
fn a_damaged_file_is_refused_and_left_as_it_is() {
    let directory = Directory::new("damaged");
    open(&directory.file()).unwrap().store(&MEMORY, false).unwrap();
    let whole = fs::read(directory.file()).unwrap();
    let refuse = |bytes: &[u8]| {
        fs::write(directory.file(), bytes).unwrap();
        let reason = refused(&directory.file());
        assert!(reason.contains(&*directory.file().to_string_lossy()), "{reason}");
        assert_eq!(fs::read(directory.file()).unwrap(), bytes);
        reason
    };
    for at in 0..whole.len() {
        for change in [1, 0x20, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            refuse(&bytes);
        }
        refuse(&whole[..at]);
        refuse(&[&whole[..at], &whole[at..at + 1], &whole[at..]].concat());
        refuse(&[&whole[..at], &whole[at + 1..]].concat());
    }
    assert!(refuse(b"").contains("not the state file of a terminal"));
    assert!(refuse(b"{\"start\":7}").contains("not the state file of a terminal"));
    assert!(refuse(&[&whole[..], b"\n"].concat()).contains("damaged"));
    assert!(refuse(&whole.repeat(100)).contains("damaged"));
    assert!(refuse(b"atm terminal state 3\nwhatever\n").contains("newer version"));
    // The refused attempts have released the lock.
    fs::write(directory.file(), &whole).unwrap();
    assert_eq!(open(&directory.file()).unwrap().profile().memory, MEMORY);
}

#[test]
fn the_file_of_another_terminal_or_in_use_by_another_program_is_refused() {
    let directory = Directory::new("others");
    let state = open(&directory.file()).unwrap();
    let before = fs::read(directory.file()).unwrap();
    assert_eq!(open(&directory.file()).unwrap_err().kind(), ErrorKind::ResourceBusy);
    assert!(refused(&directory.file()).contains("another program is using it"));
    drop(state);
    let error = StateFile::open(&directory.file(), &name("other")).unwrap_err().to_string();
    assert!(error.contains("it is the state file of the terminal kiosk-7"), "{error}");
    assert_eq!(fs::read(directory.file()).unwrap(), before, "a refused open counted a start");
    open(&directory.file()).unwrap();
}

#[test]
fn an_interrupted_write_leaves_the_old_contents() {
    let directory = Directory::new("cut");
    open(&directory.file()).unwrap().store(&MEMORY, false).unwrap();
    fs::write(beside(&directory.file(), ".tmp"), b"atm terminal sta").unwrap();
    let mut state = open(&directory.file()).unwrap();
    assert_eq!(state.profile().memory, MEMORY);
    assert_eq!(directory.names(), ["kiosk", "kiosk.lock"]);
    // Where no new file can be created, the old one stays as it was.
    let before = fs::read(directory.file()).unwrap();
    fs::create_dir(beside(&directory.file(), ".tmp")).unwrap();
    let error = state.store(&Memory::default(), false).unwrap_err().to_string();
    assert!(error.starts_with("the state file "), "{error}");
    assert_eq!(fs::read(directory.file()).unwrap(), before);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_files_and_a_new_file_follows_no_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let directory = Directory::new("private");
    let (file, new) = (directory.file(), beside(&directory.file(), ".tmp"));
    let victim = directory.0.join("victim");
    fs::write(&victim, "theirs").unwrap();
    symlink(&victim, &new).unwrap();
    open(&file).unwrap().store(&MEMORY, false).unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"theirs");
    assert!(file.symlink_metadata().unwrap().is_file());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files = [file.clone(), beside(&file, ".lock")];
    assert_eq!(files.each_ref().map(|path| mode(path)), [0o600; 2]);
    // As a former version made them.
    for path in &files {
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    assert_eq!(open(&file).unwrap().profile().memory, MEMORY);
    assert_eq!(files.each_ref().map(|path| mode(path)), [0o600; 2]);
    let lock = beside(&file, ".lock");
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o644)).unwrap();
    let fifo = |lock: &Path| {
        let made = process::Command::new("mkfifo").arg(lock).status().unwrap();
        assert!(made.success());
    };
    let makers: [&dyn Fn(&Path); 4] = [
        &|lock| symlink(&victim, lock).unwrap(),
        &|lock| fs::hard_link(&victim, lock).unwrap(),
        &|lock| fs::create_dir(lock).unwrap(),
        &fifo,
    ];
    fs::remove_file(&lock).unwrap();
    for make in makers {
        make(&lock);
        let error = refused(&file);
        assert!(error.contains("kiosk.lock is not a regular file of this user alone"), "{error}");
        assert_eq!((fs::read(&victim).unwrap(), mode(&victim)), (b"theirs".to_vec(), 0o644));
        fs::remove_file(&lock).or_else(|_| fs::remove_dir(&lock)).unwrap();
    }
    // A FIFO that a process reads can be opened.
    fifo(&lock);
    let reader = File::options().read(true).write(true).open(&lock).unwrap();
    assert!(refused(&file).contains("kiosk.lock is not a regular file"));
    drop(reader);
    fs::remove_file(&lock).unwrap();
    assert_eq!(open(&file).unwrap().profile().memory, MEMORY);
}

#[cfg(unix)]
#[test]
fn symbolic_links_are_followed_and_only_regular_files_are_used() {
    use std::os::unix::fs::symlink;
    let directory = Directory::new("links");
    let link = directory.0.join("link");
    symlink("kiosk", &link).unwrap();
    assert!(refused(&link).contains("a dangling symbolic link"));
    let state = open(&directory.file()).unwrap();
    assert!(refused(&link).contains("another program"));
    drop(state);
    open(&link).unwrap().store(&MEMORY, false).unwrap();
    assert!(link.is_symlink());
    assert_eq!(open(&directory.file()).unwrap().profile().memory, MEMORY);
    for path in [&directory.0, &directory.0.join("none").join("kiosk"), Path::new("/dev/null"), Path::new("")]
    {
        refused(path);
    }
    assert_eq!(directory.names(), ["kiosk", "kiosk.lock", "link"]);
}
