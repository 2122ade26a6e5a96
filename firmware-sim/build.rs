//! Build script: for the board's targets it sets `cfg(lm3s6965)` and passes the linker script and the memory
//! map. It sets `cfg(cards)` where atm-core has access by card: with the feature, and always on a desktop.
use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=memory.x");
    println!("cargo:rustc-check-cfg=cfg(lm3s6965)");
    println!("cargo:rustc-check-cfg=cfg(armv6m)");
    println!("cargo:rustc-check-cfg=cfg(cards)");
    // On a desktop atm-host enables them.
    if env::var_os("CARGO_FEATURE_CARDS").is_some() || env::var("CARGO_CFG_TARGET_OS")? != "none" {
        println!("cargo:rustc-cfg=cards");
    }
    let target = env::var("TARGET")?;
    // The instructions of a Cortex-M0, which the board's Cortex-M3 runs too.
    if target == "thumbv6m-none-eabi" {
        println!("cargo:rustc-cfg=armv6m");
    }
    // The board's Cortex-M3. For other targets only the code that does not need the board is built.
    if ["thumbv6m-none-eabi", "thumbv7m-none-eabi"].contains(&&*target) {
        let out = PathBuf::from(env::var("OUT_DIR")?);
        fs::copy("memory.x", out.join("memory.x"))?;
        println!("cargo:rustc-cfg=lm3s6965");
        println!("cargo:rustc-link-search={}", out.display());
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
    }
    Ok(())
}
