//! Standard output of the programs in `tests/`: where its reader is gone, as that of `| head`, they end without a message.
use std::{
    fmt,
    io::{self, ErrorKind, Write},
    panic, process,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// Has the reader gone?
static CLOSED: AtomicBool = AtomicBool::new(false);

pub(crate) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// The payload of the unwinding that ends a program whose reader is gone.
#[derive(Debug)]
pub struct ClosedOutput;

/// `println!` of the standard library panics where the reader is gone; this ends the program, by [`print_text`].
#[macro_export]
macro_rules! println {
    ($($part:tt)*) => { $crate::print_text(format_args!("{}\n", format_args!($($part)*))) };
}

/// Prints text on standard output. Where the reader is gone it ends the program: by unwinding on the main thread, so that the
/// programs which that has started are stopped.
pub fn print_text(text: fmt::Arguments<'_>) {
    match io::stdout().write_fmt(text) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            CLOSED.store(true, Ordering::Relaxed);
            match thread::current().name() {
                Some("main") => panic::resume_unwind(Box::new(ClosedOutput)),
                _ => process::exit(1),
            }
        }
        Err(error) => panic!("standard output cannot be written: {error}"),
    }
}
