//! The ATM of a kiosk's microcontroller, on a desktop: behind a loopback serial port or a real one.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(not(target_os = "none"))]
mod desktop;

#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    desktop::main()
}
