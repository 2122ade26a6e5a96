//! How memory is copied, cleared and compared, in few bytes of code.
//!
//! The compiler calls these for whatever it moves. Its own versions (of `compiler_builtins`) are made for long blocks at any
//! alignment and take 1.7 KB of flash; what is moved here is a hundred bytes or so. The linker prefers these: those are weak.
//!
//! A word need not be aligned: the core takes that in one or two more cycles (ARMv7-M manual, A3.2.1), unless it is told to
//! trap it, which nobody does.
#![allow(unsafe_code)]
use core::arch::global_asm;

// Run-time ABI for the Arm Architecture, 4.3.4, and C: arguments in r0 to r3; only r0 to r3 and r12 change.
global_asm!(
    ".section .text.memcpy, \"ax\", %progbits",
    ".syntax unified",
    ".thumb",
    ".global memcpy, __aeabi_memcpy, __aeabi_memcpy4, __aeabi_memcpy8",
    ".type memcpy, %function",
    ".type __aeabi_memcpy, %function",
    ".type __aeabi_memcpy4, %function",
    ".type __aeabi_memcpy8, %function",
    // To r0, from r1, r2 bytes; C's gives r0 back.
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
    // At r0, r1 bytes.
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
    // r0 with r1, r2 bytes.
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
