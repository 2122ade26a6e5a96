//! Build script: for the board's target it sets `cfg(lm3s6965)` and passes the linker script and the memory
//! map.
use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=memory.x");
    println!("cargo:rustc-check-cfg=cfg(lm3s6965)");
    // The board's Cortex-M3. For other targets only the code that does not need the board is built.
    if env::var("TARGET")? == "thumbv7m-none-eabi" {
        let out = PathBuf::from(env::var("OUT_DIR")?);
        fs::copy("memory.x", out.join("memory.x"))?;
        println!("cargo:rustc-cfg=lm3s6965");
        println!("cargo:rustc-link-search={}", out.display());
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
    }
    Ok(())
}
