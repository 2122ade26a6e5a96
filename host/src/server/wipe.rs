//! Wipes what calls that have returned left on the stack: a number or a PIN is wiped where it is released, but each move before has left a copy.
use std::hint::black_box;

/// How far below its caller the stack is wiped, in bytes: several times what an endpoint needs, also without optimisation.
const DEPTH: usize = 64 << 10;

/// Overwrites the stack below the caller's frame with zeros. Safe code cannot be sure that the compiler keeps no copy elsewhere; a test searches the
/// memory of the built program.
#[inline(never)]
pub(super) fn stack() {
    black_box(&mut [0_u8; DEPTH]);
}
