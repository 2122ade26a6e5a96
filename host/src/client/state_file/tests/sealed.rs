//! The state of a terminal with a key: to which key it belongs, and when the key steps.
use super::*;
use atm_core::seal::Key;

/// A folder with a key file.
struct Pair(tempfile::TempDir);

impl Pair {
    fn new() -> Self {
        let pair = Self(tempfile::tempdir().unwrap());
        pair.issue("kiosk-7", 1, 0);
        pair
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("kiosk-7.key")
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("kiosk-7.key.state")
    }

    /// Replaces the key file by a key of that series and step.
    fn issue(&self, terminal: &str, series: u32, step: u32) {
        let master = Key::from([7; 32]);
        let first = TerminalKey::derive(&master, series.try_into().unwrap(), &name(terminal));
        let key = first.forward(step, step).unwrap();
        KeyFile { terminal: name(terminal), key }.replace(&self.key()).unwrap();
    }

    fn open(&self) -> io::Result<StateFile> {
        StateFile::open_with_key(None, &self.key())
    }

    /// A start that the host welcomes or not; series and step of its key.
    fn start(&self, welcomed: bool) -> (u32, u32) {
        let mut state = self.open().unwrap();
        state.store(&MEMORY, welcomed).unwrap();
        let key = state.profile().key.unwrap();
        assert_eq!(KeyFile::read(&self.key()).unwrap().key, key, "the file has the key of this start");
        (key.series().get(), key.step())
    }

    fn refused(&self) -> String {
        let before = [fs::read(self.key()).unwrap(), fs::read(self.state()).unwrap()];
        let error = self.open().unwrap_err().to_string();
        assert_eq!([fs::read(self.key()).unwrap(), fs::read(self.state()).unwrap()], before);
        error
    }
}

#[test]
fn a_start_after_one_that_was_welcomed_steps_the_key() {
    let pair = Pair::new();
    let steps = [false, false, true, true, false, true].map(|welcomed| pair.start(welcomed).1);
    assert_eq!(steps, [0, 0, 0, 1, 2, 2]);
    let first = pair.open().unwrap().profile();
    let second = pair.open().unwrap().profile();
    assert_eq!((first.memory, second.memory), (MEMORY, MEMORY));
    assert!(first.start < second.start && first.salt != second.salt);
}

/// The key file is replaced first: a loss of power before the state is written makes no second step.
#[test]
fn an_interrupted_step_is_made_once() {
    let pair = Pair::new();
    pair.start(true);
    let state = fs::read(pair.state()).unwrap();
    assert_eq!(pair.start(false), (1, 1));
    fs::write(pair.state(), state).unwrap();
    assert_eq!(pair.start(false), (1, 1));
    // Nothing but a draft was written.
    fs::write(beside(&pair.key(), ".tmp"), "terminal = ").unwrap();
    assert_eq!(pair.start(true), (1, 1));
    assert_eq!(pair.start(true), (1, 2));
}

#[test]
fn an_old_copy_of_the_key_file_is_stepped_to_where_the_state_is() {
    let pair = Pair::new();
    for _ in 0..4 {
        pair.start(true);
    }
    pair.issue("kiosk-7", 1, 0);
    assert_eq!(pair.start(true), (1, 4));
    let contents = Contents {
        seal: Some(SealState { series: 1u32.try_into().unwrap(), welcomed: Some(MAX_STEPS + 4) }),
        ..fs::read_to_string(pair.state()).unwrap().parse().unwrap()
    };
    fs::write(pair.state(), contents.to_string()).unwrap();
    assert!(pair.refused().contains("an old copy"), "{}", pair.refused());
}

#[test]
fn a_new_series_keeps_the_memory_and_an_older_one_is_refused() {
    let pair = Pair::new();
    pair.start(true);
    pair.issue("kiosk-7", 2, 0);
    assert_eq!(pair.open().unwrap().profile().memory, MEMORY);
    assert_eq!(pair.start(true), (2, 0));
    pair.issue("kiosk-7", 1, 5);
    let error = pair.refused();
    assert!(error.contains("kiosk-7.key.state: the terminal has used a key of series 2"), "{error}");
    pair.issue("kiosk-7", 2, 0);
    assert_eq!(pair.start(true), (2, 1));
}

#[test]
fn the_state_of_another_terminal_is_refused() {
    let pair = Pair::new();
    pair.start(false);
    pair.issue("kiosk-8", 1, 0);
    let error = pair.refused();
    assert!(error.contains("it is the state file of the terminal kiosk-7"), "{error}");
}

/// A program without the key would send in clear what the state asks for.
#[test]
fn the_state_of_a_terminal_with_a_key_is_refused_without_one() {
    let pair = Pair::new();
    StateFile::open(&pair.state(), &name("kiosk-7")).unwrap().store(&MEMORY, false).unwrap();
    assert_eq!(pair.open().unwrap().profile().memory, MEMORY, "a terminal gets its first key");
    let error = StateFile::open(&pair.state(), &name("kiosk-7")).unwrap_err().to_string();
    assert!(error.contains("use --key"), "{error}");
    assert!(fs::read_to_string(pair.state()).unwrap().starts_with("atm terminal state 2\n"));
}

#[test]
fn one_program_at_a_time_uses_a_key_file_whatever_its_state_file_is() {
    let pair = Pair::new();
    let state = pair.open().unwrap();
    let other = pair.0.path().join("other");
    let error = StateFile::open_with_key(Some(&other), &pair.key()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    assert!(error.to_string().contains("kiosk-7.key: another program is using it"), "{error}");
    assert!(!other.exists());
    drop(state);
    StateFile::open_with_key(Some(&other), &pair.key()).unwrap();
}

#[test]
fn a_file_that_is_no_key_is_refused_without_a_lock_file_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes");
    private_file::create(&path, b"no key").unwrap();
    let error = StateFile::open_with_key(None, &path).unwrap_err().to_string();
    assert!(error.contains("notes: it is not a terminal's key"), "{error}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn neither_the_state_nor_debug_has_the_key() {
    let pair = Pair::new();
    pair.start(true);
    let state = pair.open().unwrap();
    let bytes = *state.profile().key.unwrap().key().bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(fs::read_to_string(pair.key()).unwrap().contains(&hex));
    let shown = format!("{state:?}{:?}{}", state.profile(), fs::read_to_string(pair.state()).unwrap());
    let listed = format!("{}, {}, {}", bytes[0], bytes[1], bytes[2]);
    assert!(!shown.contains(&hex) && !shown.contains(&listed), "{shown}");
}
