//! Folders that are made for a ledger, and are nothing without one.
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The folders that were made, from the outermost on. Those that hold nothing when this is dropped are taken away again.
#[derive(Debug)]
pub(super) struct Made(Vec<PathBuf>);

impl Made {
    /// Makes a folder that only its owner may enter, and those that it lies in, where there are none.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(super) fn folder(folder: &Path) -> io::Result<Self> {
        let mut made = Self(Vec::new());
        for above in folder.ancestors().filter(|path| !path.as_os_str().is_empty()) {
            match fs::symlink_metadata(above) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => made.0.insert(0, above.to_owned()),
                _ => break,
            }
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map(|()| made)
    }

    /// Was the innermost one made here?
    pub(super) fn is_any(&self) -> bool {
        !self.0.is_empty()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            // It holds something.
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }
}
