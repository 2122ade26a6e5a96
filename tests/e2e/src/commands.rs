//! Commands of the built programs and of Python, and the folders that they are in: a program that is older than its sources is built first.
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The built `atm` with arguments.
pub fn atm(arguments: &[&str]) -> Command {
    built("atm", arguments)
}

/// The built `firmware-sim` with arguments.
pub fn firmware_sim(arguments: &[&str]) -> Command {
    built("firmware-sim", arguments)
}

/// Python with a script and its arguments. `None` on a machine without Python, where the test is skipped with a message:
/// neither the build nor the tests depend on it.
pub fn python(script: &Path, arguments: &[&str]) -> Option<Command> {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    let present = *PRESENT.get_or_init(|| {
        Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success())
    });
    if !present {
        eprintln!("skipped: there is no python3 on this machine");
        return None;
    }
    let mut command = Command::new("python3");
    // -u: unbuffered output.
    command.arg("-u").arg(script).args(arguments);
    Some(command)
}

/// The folder `examples` of the repository.
pub fn examples() -> PathBuf {
    project_root().join("examples")
}

/// The folder of the original programs, which these replace.
pub fn original_programs() -> PathBuf {
    project_root().join("tests/e2e/original")
}

/// The folder of the repository.
pub fn project_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// A program of the workspace, of this test's target folder and profile. `cargo test --workspace` has built it, as atm-host
/// and firmware-sim have integration tests; after a command that names other packages it is built here.
fn built(name: &str, arguments: &[&str]) -> Command {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let folder = target_folder();
        if PROGRAMS.iter().all(|name| is_up_to_date(&folder.join(name))) { Ok(folder) } else { build(folder) }
    };
    let folder = FOLDER.get_or_init(build).as_ref().unwrap_or_else(|error| panic!("{error}"));
    let mut command = Command::new(folder.join(name));
    command.args(arguments);
    command
}

const PROGRAMS: [&str; 2] = ["atm", "firmware-sim"];

/// The folder that Cargo puts programs into: `target/debug` or another profile's.
fn target_folder() -> PathBuf {
    let test = env::current_exe().unwrap();
    // A test is in its subfolder `deps`, a program in the folder itself.
    let deps = test.ancestors().find(|path| path.ends_with("deps")).and_then(Path::parent);
    deps.or(test.parent()).unwrap().to_owned()
}

/// Whether a program is newer than each of its sources. Cargo lists these in a file beside it, in the syntax of a Makefile
/// (doc.rust-lang.org/cargo/reference/build-cache.html, "Dep-info files"), without the manifests.
fn is_up_to_date(program: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let (Some(built), Ok(list)) = (modified(program), fs::read_to_string(program.with_extension("d"))) else {
        return false;
    };
    let Some((_, sources)) = list.split_once(": ") else { return false };
    // A blank in a path is escaped by a backslash.
    let sources = sources.trim().replace("\\ ", "\0");
    let sources = sources.split(' ').map(|path| PathBuf::from(path.replace('\0', " ")));
    let manifests =
        ["", "core", "host", "firmware-sim"].map(|folder| project_root().join(folder).join("Cargo.toml"));
    sources.chain(manifests).all(|path| modified(&path).is_some_and(|changed| changed < built))
}

/// Builds the programs into `folder`. This package is named too: so the libraries have the same features as in this test,
/// and are not built a second time.
fn build(folder: PathBuf) -> Result<PathBuf, String> {
    let packages = ["atm-e2e", "atm-host", "firmware-sim"].iter().flat_map(|package| ["-p", package]);
    let programs = PROGRAMS.iter().flat_map(|name| ["--bin", name]);
    run_cargo(&folder, packages.chain(programs)).map(|()| folder)
}

/// Builds `atm` with a feature of `atm-host`, in this program's target folder and profile, and copies it to a folder there: a build
/// without the feature replaces the program, and not the copy.
///
/// # Errors
/// What the compiler says.
pub fn build_atm_with(feature: &str) -> Result<PathBuf, String> {
    let folder = target_folder();
    run_cargo(&folder, ["-p", "atm-host", "--features", feature, "--bin", "atm"].into_iter())?;
    let copies = folder.join(format!("with-{feature}"));
    let [copy, partial] = ["atm", "atm.partial"].map(|name| copies.join(name));
    fs::create_dir_all(&copies)
        .and_then(|()| fs::copy(folder.join("atm"), &partial))
        // A copy that runs is not written to.
        .and_then(|_| fs::rename(partial, &copy))
        .map_err(|error| format!("{}: {error}", copy.display()))?;
    Ok(copy)
}

/// Runs `cargo build` into a folder of programs.
fn run_cargo<'a>(folder: &Path, arguments: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let profile = match folder.file_name().and_then(|name| name.to_str()).unwrap() {
        "debug" => "dev",
        other => other,
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--profile", profile]).args(arguments);
    let parent = folder.parent().unwrap();
    // With `--target`, the folder is DIR/TARGET/PROFILE, and Cargo marks DIR and DIR/TARGET.
    match parent.parent().filter(|above| above.join("CACHEDIR.TAG").exists()) {
        Some(above) => cargo.arg("--target").arg(parent.file_name().unwrap()).arg("--target-dir").arg(above),
        None => cargo.arg("--target-dir").arg(parent),
    };
    let output = cargo.current_dir(project_root()).stdin(Stdio::null()).output().unwrap();
    let success = output.status.success();
    if success { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// The command in a network of its own, where the system chooses `first` or the next port for a connection, and no server
/// listens; `None` without the program `ip`.
pub fn with_ephemeral_ports(command: &Command, first: u16) -> Option<Command> {
    let has_ip = Command::new("ip").arg("-V").output().is_ok_and(|output| output.status.success());
    if !has_ip {
        eprintln!("skipped: there is no `ip`");
        return None;
    }
    let range = format!("{first} {}", first + 1);
    let script = format!(
        "ip link set lo up && echo {range} > /proc/sys/net/ipv4/ip_local_port_range && exec \"$0\" \"$@\""
    );
    let mut alone = Command::new("unshare");
    alone.args(["-rn", "sh", "-c", &script]).arg(command.get_program()).args(command.get_args());
    Some(alone)
}
