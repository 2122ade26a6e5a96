//! Methods of an open file: SQLite's calls, brought to a [`DiskFile`].
use super::{Handle, code};
use crate::DiskFile;
use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods};
use std::{
    ffi::{c_int, c_void},
    ptr, slice,
    sync::atomic::{Ordering, fence},
};

pub(super) static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // With shared memory, without memory-mapped files.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(length),
    xLock: Some(lock_file),
    xUnlock: Some(unlock_file),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The open file of a handle.
///
/// # Safety
/// `handle` is what SQLite gave a function of `METHODS`: `open` filled it, and `close` has not returned.
unsafe fn file<'a>(handle: *mut sqlite3_file) -> &'a DiskFile {
    // SAFETY: as above; the file is only used by shared references until `close`, which SQLite calls last.
    unsafe { &*(*handle.cast::<Handle>()).file }
}

unsafe extern "C" fn close(handle: *mut sqlite3_file) -> c_int {
    let handle = handle.cast::<Handle>();
    // SAFETY: `open` made the box, and SQLite does not use the handle again.
    let (file, delete_on_close) = unsafe { (Box::from_raw((*handle).file), (*handle).delete_on_close) };
    if delete_on_close {
        // Whether it is gone makes no difference: its name is not used again.
        let _ = file.disk().delete(file.name(), false);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    handle: *mut sqlite3_file,
    out: *mut c_void,
    len: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: a buffer of SQLite's, which may never have been written: it is zeroed before it is borrowed.
    let out = unsafe {
        ptr::write_bytes(out.cast::<u8>(), 0, len as usize);
        slice::from_raw_parts_mut(out.cast::<u8>(), len as usize)
    };
    // SAFETY: an open file.
    code(unsafe { file(handle) }.read(offset as usize, out))
}

unsafe extern "C" fn write(
    handle: *mut sqlite3_file,
    data: *const c_void,
    len: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: a buffer of SQLite's, with bytes.
    let data = unsafe { slice::from_raw_parts(data.cast::<u8>(), len as usize) };
    // SAFETY: an open file.
    code(unsafe { file(handle) }.write(offset as usize, data))
}

unsafe extern "C" fn truncate(handle: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    // SAFETY: an open file.
    code(unsafe { file(handle) }.truncate(length as usize))
}

unsafe extern "C" fn sync(handle: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    code(unsafe { file(handle) }.sync())
}

unsafe extern "C" fn length(handle: *mut sqlite3_file, out: *mut sqlite3_int64) -> c_int {
    // SAFETY: an open file, a result.
    code(unsafe { file(handle).length().map(|length| *out = length as sqlite3_int64) })
}

unsafe extern "C" fn lock_file(handle: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    code(unsafe { file(handle) }.lock(level))
}

unsafe extern "C" fn unlock_file(handle: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe { file(handle) }.unlock(level);
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(handle: *mut sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: an open file, a result.
    unsafe { *out = file(handle).is_reserved().into() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(handle: *mut sqlite3_file) -> c_int {
    // SAFETY: an open file.
    unsafe { file(handle) }.disk().geometry().sector as c_int
}

unsafe extern "C" fn device_characteristics(handle: *mut sqlite3_file) -> c_int {
    // SAFETY: an open file.
    let geometry = unsafe { file(handle) }.disk().geometry();
    if geometry.powersafe_overwrite { ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE } else { 0 }
}

unsafe extern "C" fn shm_map(
    handle: *mut sqlite3_file,
    number: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file. The region lives until the last `shm_unmap`; its bytes are atomics, so SQLite may
    // write them.
    let mapped = unsafe { file(handle) }.map(number as usize, size as usize, extend != 0);
    let (region, code) = match mapped {
        Ok(region) => {
            (region.map_or(ptr::null_mut(), |region| region.as_ptr().cast_mut().cast()), ffi::SQLITE_OK)
        }
        Err(code) => (ptr::null_mut(), code),
    };
    // SAFETY: a result.
    unsafe { *out = region };
    code
}

unsafe extern "C" fn shm_lock(handle: *mut sqlite3_file, first: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: an open file.
    let file = unsafe { file(handle) };
    let (first, count) = (first as usize, count as usize);
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        file.unlock_slots(first, count);
        return ffi::SQLITE_OK;
    }
    code(file.lock_slots(first, count, flags & ffi::SQLITE_SHM_EXCLUSIVE != 0))
}

unsafe extern "C" fn shm_barrier(_: *mut sqlite3_file) {
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(handle: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe { file(handle) }.unmap();
    ffi::SQLITE_OK
}
