//! Service notification: reports to systemd that the server is ready, or stopping (sd_notify(3)).
//!
//! Does nothing where systemd did not start the process with `Type=notify`.
use atm_host::log::SERVER;
use std::sync::Once;

/// The server listens, and its ledger is open.
pub(super) fn notify_ready() {
    #[cfg(target_os = "linux")]
    notify(sd_notify::NotifyState::Ready);
}

/// The server stops, by a signal or by itself; only the first call is reported.
pub(super) fn notify_stopping() {
    static NOTIFIED: Once = Once::new();
    NOTIFIED.call_once(|| {
        #[cfg(target_os = "linux")]
        notify(sd_notify::NotifyState::Stopping);
    });
}

#[cfg(target_os = "linux")]
fn notify(state: sd_notify::NotifyState<'_>) {
    let sent = match std::env::var_os("NOTIFY_SOCKET") {
        // sd_notify(3): `@` begins the name of an abstract socket. The `sd-notify` crate treats it as a path.
        Some(socket) if socket.as_encoded_bytes().starts_with(b"@") => {
            send_to_abstract_socket(&socket, &state.to_string())
        }
        _ => sd_notify::notify(&[state]),
    };
    if let Err(error) = sent {
        tracing::warn!(target: SERVER, %error, "systemd could not be notified");
    }
}

#[cfg(target_os = "linux")]
fn send_to_abstract_socket(socket: &std::ffi::OsStr, state: &str) -> std::io::Result<()> {
    use std::os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    };
    let name = socket.as_encoded_bytes().get(1..).unwrap_or_default();
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &SocketAddr::from_abstract_name(name)?).map(drop)
}
