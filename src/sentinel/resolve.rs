//! Names to addresses, on threads that may wait.

use tokio::net::lookup_host;
use tokio::sync::mpsc;

use super::driver::Came;

/// Looks a name up, and tells what was found: the first address.
pub(super) async fn resolve(name: Box<str>, came: mpsc::Sender<Came>) {
    let found = lookup_host((&*name, 0)).await;
    let ip = found.ok().and_then(|mut found| found.next());
    let ip = ip.map(|address| address.ip());
    // It fails only when the server ends.
    drop(came.send(Came::Resolved { name, ip }).await);
}
