//! redb at arm's length. It panics where what it has read contradicts itself. That should not come to pass, since every
//! page is checked before (see [`sums`](super::sums)); if it does, it is a fault like others, and what has panicked is
//! dropped and asked nothing any more.
use super::error::Fault;
use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};
use tracing::{debug, error};

thread_local! {
    /// Is a panic of this thread one that is caught here?
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Does `work` with redb.
///
/// # Errors
/// What `work` says; [`Fault::Damaged`] where it panics.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    hush();
    let before = GUARDED.replace(true);
    // Whoever gets an error of this kind lets go of what it worked on.
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    done.unwrap_or_else(|_| {
        error!("what is in the ledger's file contradicts itself");
        Err(Fault::Damaged("what is in its pages contradicts itself".to_owned()))
    })
}

/// Says nothing on standard error of a panic that is caught here; of others, whoever said it before does.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if GUARDED.get() {
                debug!(panic = %info, "caught");
            } else {
                usual(info);
            }
        }));
    });
}

/// Something of redb's. It may panic as it is dropped, after it has panicked before.
pub(super) struct Held<T>(Option<T>);

impl<T> Held<T> {
    pub(super) fn new(held: T) -> Self {
        Self(Some(held))
    }

    /// Lets it go to where it is dropped otherwise.
    pub(super) fn release(mut self) -> Option<T> {
        self.0.take()
    }

    /// # Errors
    /// It was released.
    pub(super) fn get(&self) -> Result<&T, Fault> {
        self.0.as_ref().ok_or_else(|| std::io::Error::other("it is closed").into())
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            // It was told before.
            let _ = guarded(|| {
                drop(held);
                Ok(())
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Heavy;

    impl Drop for Heavy {
        fn drop(&mut self) {
            panic!("it fell");
        }
    }

    #[test]
    fn a_panic_is_a_fault() {
        let done = guarded(|| -> Result<(), Fault> { panic!("a page that contradicts itself") });
        assert!(matches!(done, Err(Fault::Damaged(_))), "{done:?}");
        assert_eq!(guarded(|| Ok(7)).unwrap(), 7);
        let held = Held::new(Heavy);
        held.get().unwrap();
        drop(held);
        // Others are none of its business.
        assert!(panic::catch_unwind(|| drop(Heavy)).is_err());
    }
}
