//! `memcpy`, `memclr` and `memcmp` in few bytes of code.
//!
//! The compiler emits calls to these symbols. Its own versions (`compiler_builtins`) are made for long blocks
//! at any alignment and take 1.7 KB of flash; the blocks moved here have about a hundred bytes. The linker
//! prefers these, because those are weak.
//!
//! Words need not be aligned: an unaligned access costs the core one or two more cycles (ARMv7-M Architecture
//! Reference Manual, DDI 0403, A3.2.1). It traps only if CCR.UNALIGN_TRP is set, which no code here does.
#![allow(unsafe_code)]
use core::arch::global_asm;

// Run-time ABI for the Arm Architecture (IHI 0043), 4.3.4, and C: arguments in r0 to r3; only r0 to r3 and
// r12 are clobbered.
global_asm!(
    ".section .text.memcpy, \"ax\", %progbits",
    ".syntax unified",
    ".thumb",
    ".global memcpy, __aeabi_memcpy, __aeabi_memcpy4, __aeabi_memcpy8",
    ".type memcpy, %function",
    ".type __aeabi_memcpy, %function",
    ".type __aeabi_memcpy4, %function",
    ".type __aeabi_memcpy8, %function",
    // Copies r2 bytes from r1 to r0; C's memcpy returns r0.
    "memcpy:",
    "__aeabi_memcpy:",
    "__aeabi_memcpy4:",
    "__aeabi_memcpy8:",
    "mov r12, r0",
    "1: subs r2, #4",
    "blo 2f",
    "ldr r3, [r1], #4",
    "str r3, [r12], #4",
    "b 1b",
    "2: adds r2, #4",
    "3: subs r2, #1",
    "blo 4f",
    "ldrb r3, [r1], #1",
    "strb r3, [r12], #1",
    "b 3b",
    "4: bx lr",
    ".size memcpy, . - memcpy",
    // Clears r1 bytes at r0.
    ".section .text.memclr, \"ax\", %progbits",
    ".global __aeabi_memclr, __aeabi_memclr4, __aeabi_memclr8",
    ".type __aeabi_memclr, %function",
    ".type __aeabi_memclr4, %function",
    ".type __aeabi_memclr8, %function",
    "__aeabi_memclr:",
    "__aeabi_memclr4:",
    "__aeabi_memclr8:",
    "movs r2, #0",
    "1: subs r1, #4",
    "blo 2f",
    "str r2, [r0], #4",
    "b 1b",
    "2: adds r1, #4",
    "3: subs r1, #1",
    "blo 4f",
    "strb r2, [r0], #1",
    "b 3b",
    "4: bx lr",
    ".size __aeabi_memclr, . - __aeabi_memclr",
    // Compares r2 bytes at r0 and at r1.
    ".section .text.memcmp, \"ax\", %progbits",
    ".global memcmp",
    ".type memcmp, %function",
    "memcmp:",
    "1: subs r2, #1",
    "blo 2f",
    "ldrb r3, [r0], #1",
    "ldrb r12, [r1], #1",
    "cmp r3, r12",
    "beq 1b",
    "sub r0, r3, r12",
    "bx lr",
    "2: movs r0, #0",
    "bx lr",
    ".size memcmp, . - memcmp",
);
