# Sourced by the scripts beside it: strict mode, the repository's root as working directory, headings, missing programs.
# What they do not install: rustup and git.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CI_START="${CI_START:-$EPOCHSECONDS}"

step() { printf '\n== %s (%s s)\n' "$*" "$((EPOCHSECONDS - CI_START))"; }

# has PROGRAM...: whether all of them are installed.
has() { command -v "$@" >/dev/null && [ "$(command -v "$@" | wc -l)" = $# ]; }

# Parts of .ci/run that run at once install one after the other.
mkdir -p target
alone() { flock target/install.lock "$@"; }

# debian PACKAGE...: installs Debian packages.
debian() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    alone $sudo apt-get update -qq
    alone $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}
rustup() { alone "$(type -P rustup)" "$@"; }

# Rust links with it, and SQLite is compiled from C.
has cc || debian gcc libc6-dev
