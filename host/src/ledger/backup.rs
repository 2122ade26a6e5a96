//! Backups: all entries as `export --format csv` writes them, and a last line that says that they are all there.
//!
//! A backup is text, and everything else follows from it: a ledger is restored by deriving its books again from the
//! first entry, by the rules that made them. The last line is `end,NUMBER,HASH`, of the last entry.
use super::{
    books::{Books, Head, Row},
    disk::{Disk, private, sync_folder},
    entry::{COLUMNS, Entry, FORMAT, Fact, Time},
    error::{Error, Fault},
    source::{Source, line, split},
    store::Store,
};
use atm_core::ledger::LedgerId;
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

/// Entries that are written to a new ledger in one commit.
const BATCH: usize = 20_000;

/// Writes a backup to a new file, which is whole when it has its name.
///
/// # Errors
/// What is wrong with the books or with the file. There is no such file then.
pub fn backup(source: &mut Source, file: &Path, progress: impl FnMut(u64)) -> Result<u64, Error> {
    let wrong = |fault| Error { path: file.to_owned(), fault };
    if fs::symlink_metadata(file).is_ok() {
        return Err(wrong(Fault::Exists));
    }
    let (draft, out) = draft_of(file).map_err(|error| wrong(error.into()))?;
    let written = write(source, file, &draft, out, progress);
    if written.is_err() {
        // Where it has its name already, that is its only one.
        let _ = fs::remove_file(&draft);
    }
    written.map_err(wrong)
}

/// A new file beside the one that is to be, of a name that nobody else has.
fn draft_of(file: &Path) -> io::Result<(PathBuf, File)> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.tmp", getrandom::u64().map_err(io::Error::other)?));
    let draft = file.with_file_name(name);
    let out = private().create_new(true).open(&draft)?;
    Ok((draft, out))
}

/// Gives the draft its name, which nothing may have.
fn publish(draft: &Path, file: &Path) -> Result<(), Fault> {
    // Some file systems have no such promise, and then it is looked at once more.
    #[cfg(target_os = "linux")]
    {
        use rustix::{
            fs::{CWD, RenameFlags, renameat_with},
            io::Errno,
        };
        match renameat_with(CWD, draft, CWD, file, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => return Err(Fault::Exists),
            Err(Errno::INVAL | Errno::NOSYS) => {}
            renamed => return Ok(renamed.map_err(io::Error::from)?),
        }
    }
    if fs::symlink_metadata(file).is_ok() {
        return Err(Fault::Exists);
    }
    Ok(fs::rename(draft, file)?)
}

fn write(
    source: &mut Source,
    file: &Path,
    draft: &Path,
    out: File,
    mut progress: impl FnMut(u64),
) -> Result<u64, Fault> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    writeln!(out, "{},hash", COLUMNS.join(","))?;
    let mut books = Books::default();
    source.entries(&mut |head, line| {
        progress(head.number);
        // A backup of books that do not fit would be found out when it is too late.
        post(&mut books, head, line).map_err(Fault::Damaged)?;
        Ok(writeln!(out, "{line},{}", head.hash)?)
    })?;
    let head = books.head();
    writeln!(out, "end,{},{}", head.number, head.hash)?;
    let written = out.into_inner().map_err(|error| error.into_error())?;
    written.sync_all()?;
    publish(draft, file)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    sync_folder(folder.unwrap_or(Path::new(".")))?;
    Ok(head.number)
}

/// The format of a backup's entry, where it is a later one than this version knows.
fn later_format(line: &str) -> Option<u64> {
    let format = line.split(',').next()?.parse().ok()?;
    (format > FORMAT).then_some(format)
}

fn post(books: &mut Books, head: Head, line: &str) -> Result<(), String> {
    let wrong = |what: &str| format!("entry {}: {what}: {line}", head.number);
    let entry = Entry::parse(line).ok_or_else(|| wrong("it is not an entry"))?;
    books.post(entry, line).map_err(wrong)?;
    if books.head() == head { Ok(()) } else { Err(wrong("its hash is not the one that follows")) }
}

/// Makes a ledger of a backup, where there is none. It has a new identity: what terminals know of the old one says
/// nothing about what was lost since.
///
/// # Errors
/// What is wrong with the backup or with the disk. There is no ledger then.
pub fn restore(
    file: &Path,
    disk: &mut dyn Disk,
    fresh: LedgerId,
    progress: impl FnMut(u64),
) -> Result<Books, Error> {
    let of_disk = |disk: &dyn Disk, fault| Error { path: disk.path().to_owned(), fault };
    match disk.is_new() {
        Ok(true) => {}
        Ok(false) => return Err(of_disk(disk, Fault::Exists)),
        Err(error) => return Err(of_disk(disk, error.into())),
    }
    let wrong = |fault| Error { path: file.to_owned(), fault };
    let mut lines = BufReader::with_capacity(1 << 16, File::open(file).map_err(|error| wrong(error.into()))?);
    let mut store = Store::draft(disk).map_err(|fault| of_disk(disk, fault))?;
    let mut commit =
        |rows: Vec<Row>, books: &Books| store.commit(rows, books).map_err(|fault| of_disk(disk, fault));
    let books = read(&mut lines, &wrong, &mut commit, fresh, progress)?;
    store.publish(disk).map_err(|fault| of_disk(disk, fault))?;
    Ok(books)
}

/// Reads a backup, and commits what stands in it.
fn read(
    lines: &mut dyn BufRead,
    wrong: &impl Fn(Fault) -> Error,
    commit: &mut impl FnMut(Vec<Row>, &Books) -> Result<(), Error>,
    fresh: LedgerId,
    mut progress: impl FnMut(u64),
) -> Result<Books, Error> {
    let not_whole = |what: String| wrong(Fault::NotWhole(what));
    let mut text = String::new();
    if line(lines, &mut text).map_err(wrong)? != Some(format!("{},hash", COLUMNS.join(",")).as_str()) {
        return Err(not_whole("it does not begin like one".to_owned()));
    }
    let (mut books, mut rows) = (Books::default(), Vec::with_capacity(BATCH));
    loop {
        let line = line(lines, &mut text).map_err(wrong)?;
        let line = line.ok_or_else(|| not_whole("it does not go on to its end".to_owned()))?;
        if line.starts_with("end,") {
            let head = books.head();
            if line != format!("end,{},{}", head.number, head.hash) {
                return Err(not_whole(format!("its last line does not fit: {line}")));
            }
            break;
        }
        if let Some(format) = later_format(line) {
            return Err(wrong(Fault::Newer(format)));
        }
        let (head, line) = split(line).ok_or_else(|| not_whole(format!("this is no entry: {line}")))?;
        post(&mut books, head, line).map_err(not_whole)?;
        progress(head.number);
        rows.push(Row { head, line: line.to_owned() });
        if rows.len() == BATCH {
            commit(std::mem::take(&mut rows), &books)?;
        }
    }
    if line(lines, &mut text).map_err(wrong)?.is_some() {
        return Err(not_whole("there is something behind its end".to_owned()));
    }
    let fact = Fact::Restored { ledger: fresh };
    books.write(fact, Time::now(), &mut rows).map_err(|misfit| not_whole(misfit.to_owned()))?;
    commit(rows, &books)?;
    Ok(books)
}
