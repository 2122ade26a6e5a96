//! Links the images for a microcontroller by the memory map of the board.
use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=memory.x");
    // On a desktop there is nothing to link in another way; and the map is of this board alone.
    if env::var("CARGO_CFG_TARGET_OS")? == "none" && env::var("CARGO_CFG_TARGET_ARCH")? == "arm" {
        let out = PathBuf::from(env::var("OUT_DIR")?);
        fs::copy("memory.x", out.join("memory.x"))?;
        println!("cargo:rustc-link-search={}", out.display());
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
    }
    Ok(())
}
