//! SQLite VFS: brings SQLite's calls to a [`Disk`] (<https://sqlite.org/vfs.html>). It and its methods are
//! the only unsafe code, and decide nothing.
use crate::{Code, Disk, DiskFile, lock};
use rusqlite::ffi::{self, sqlite3_file, sqlite3_vfs};
use std::{
    ffi::{CStr, CString, c_char, c_int},
    ptr,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

mod methods;

/// The longest file name, in bytes.
const NAME_LIMIT: c_int = 512;

/// A disk registered with SQLite under a name of its own. After it is dropped no connection opens files
/// there; open files stay open.
#[derive(Debug)]
pub struct Vfs {
    name: &'static CStr,
    mount: &'static Mount,
}

/// What the registered VFS refers to. It is leaked with the VFS and its name, some 250 bytes: a connection
/// may outlive its `Vfs`.
#[derive(Debug)]
struct Mount(Mutex<Option<Disk>>);

impl Vfs {
    /// Registers a disk with SQLite.
    ///
    /// # Errors
    /// As SQLite's: no memory.
    pub fn register(disk: Disk) -> rusqlite::Result<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let name = CString::new(format!("faulty-{}", NUMBERS.fetch_add(1, Ordering::Relaxed)))?;
        let name: &'static CStr = Box::leak(name.into_boxed_c_str());
        let mount: &'static Mount = Box::leak(Box::new(Mount(Mutex::new(Some(disk)))));
        let registered = Box::into_raw(Box::new(sqlite3_vfs {
            // Without the functions of version 2: `xCurrentTimeInt64`.
            iVersion: 1,
            szOsFile: size_of::<Handle>() as c_int,
            mxPathname: NAME_LIMIT,
            pNext: ptr::null_mut(),
            zName: name.as_ptr(),
            pAppData: ptr::from_ref(mount).cast_mut().cast(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_path),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: None,
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: the VFS, its name and its functions are valid for ever, and SQLite alone writes `pNext`.
        match unsafe { ffi::sqlite3_vfs_register(registered, 0) } {
            ffi::SQLITE_OK => Ok(Self { name, mount }),
            code => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
        }
    }

    /// The name for [`rusqlite::Connection::open_with_flags_and_vfs`].
    pub fn name(&self) -> &'static CStr {
        self.name
    }
}

impl Drop for Vfs {
    fn drop(&mut self) {
        *lock(&self.mount.0) = None;
        // SAFETY: the name finds what `register` made, which stays valid.
        unsafe { ffi::sqlite3_vfs_unregister(ffi::sqlite3_vfs_find(self.name.as_ptr())) };
    }
}

/// SQLite's memory for an open file: `szOsFile` bytes.
#[repr(C)]
struct Handle {
    base: sqlite3_file,
    /// From `Box::into_raw` in `open`, to `Box::from_raw` in `close`.
    file: *mut DiskFile,
    delete_on_close: bool,
}

fn code(result: Result<(), Code>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

/// The disk of a VFS.
///
/// # Safety
/// `vfs` is what SQLite gave a function of a VFS registered here.
unsafe fn disk(vfs: *mut sqlite3_vfs) -> Result<Disk, Code> {
    // SAFETY: `register` stored a reference to a leaked mount, and nothing changes it.
    let mount = unsafe { &*(*vfs).pAppData.cast::<Mount>() };
    lock(&mount.0).clone().ok_or(ffi::SQLITE_CANTOPEN)
}

/// A file's name; names that are not UTF-8 are not for this disk.
///
/// # Safety
/// `name` is a string of SQLite's, valid during the call that received it.
unsafe fn text<'a>(name: *const c_char) -> Result<&'a str, Code> {
    // SAFETY: as above.
    unsafe { CStr::from_ptr(name) }.to_str().map_err(|_| ffi::SQLITE_CANTOPEN)
}

// SAFETY of all functions below and of those in `methods`: SQLite calls them as it documents `sqlite3_vfs`
// and `sqlite3_io_methods`. A VFS, a handle and a name are as the helpers demand; a result's pointer can be
// written; a buffer has the given length.

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    handle: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let handle = handle.cast::<Handle>();
    // SAFETY: SQLite's memory for a `Handle`. Without methods SQLite does not close it.
    unsafe { (*handle).base.pMethods = ptr::null() };
    let open = || {
        // SAFETY: a VFS of ours.
        let disk = unsafe { disk(vfs) }?;
        if name.is_null() {
            return disk.open(&format!("temporary-{}", disk.calls()), flags);
        }
        // SAFETY: a name of SQLite's.
        disk.open(unsafe { text(name) }?, flags)
    };
    let file = match open() {
        Ok(file) => Box::into_raw(Box::new(file)),
        Err(code) => return code,
    };
    let delete_on_close = flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0;
    // SAFETY: SQLite's memory for a `Handle`, and for flags if it wants them.
    unsafe {
        handle.write(Handle { base: sqlite3_file { pMethods: &methods::METHODS }, file, delete_on_close });
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: a VFS of ours and a name of SQLite's.
    code(unsafe { disk(vfs).and_then(|disk| disk.delete(text(name)?, sync_directory != 0)) })
}

unsafe extern "C" fn access(vfs: *mut sqlite3_vfs, name: *const c_char, _: c_int, out: *mut c_int) -> c_int {
    // SAFETY: a VFS of ours, a name of SQLite's, a result.
    code(unsafe { disk(vfs).and_then(|disk| disk.exists(text(name)?)).map(|exists| *out = exists.into()) })
}

unsafe extern "C" fn full_path(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    size: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: a name of SQLite's.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if name.len() > size as usize {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: `out` has `size` bytes, and is no part of the name.
    unsafe { ptr::copy_nonoverlapping(name.as_ptr(), out.cast(), name.len()) };
    ffi::SQLITE_OK
}

// SQLite takes its random numbers from the default VFS, not from this one.
unsafe extern "C" fn randomness(_: *mut sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}

unsafe extern "C" fn sleep(_: *mut sqlite3_vfs, microseconds: c_int) -> c_int {
    thread::sleep(Duration::from_micros(microseconds.unsigned_abs().into()));
    microseconds
}

unsafe extern "C" fn current_time(_: *mut sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: a result.
    unsafe { *out = 2_461_041.5 }; // 2026-01-01 as a Julian day, always
    ffi::SQLITE_OK
}
