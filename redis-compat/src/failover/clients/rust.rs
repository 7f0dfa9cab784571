//! Writes numbered entries to the master that monitors name, through the crate `redis`.
//!
//! Prints `+N` when entry N is acknowledged, and `-TEXT` for every error that the library lets
//! through; then it tries the same entry again. Goes on until it is killed.

use std::thread;
use std::time::Duration;

use redis::sentinel::{SentinelClient, SentinelServerType};
use redis::{Commands as _, Connection, RedisResult};

/// What users set, so that no call takes for ever.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Writes, until the process is killed.
///
/// # Errors
///
/// When an address of a monitor is none.
pub(super) fn run(monitors: &str, name: &str, key: &str) -> RedisResult<()> {
    let urls: Vec<String> = monitors
        .split(',')
        .map(|address| format!("redis://{address}"))
        .collect();
    let role = SentinelServerType::Master;
    let mut client = SentinelClient::build(urls, name.to_owned(), None, role)?;
    let mut master = None;
    let mut number = 1;
    loop {
        match write(&mut client, &mut master, key, number) {
            Ok(()) => {
                println!("+{number}");
                number += 1;
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => {
                println!("-{error}");
                // The library leaves it to its users to ask again for the master.
                master = None;
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

fn write(
    client: &mut SentinelClient,
    master: &mut Option<Connection>,
    key: &str,
    number: u64,
) -> RedisResult<()> {
    let master = match master {
        Some(master) => master,
        None => {
            let found = client.get_client()?.get_connection_with_timeout(TIMEOUT)?;
            found.set_read_timeout(Some(TIMEOUT))?;
            found.set_write_timeout(Some(TIMEOUT))?;
            master.insert(found)
        }
    };
    let _: String = master.xadd(key, "*", &[("n", number)])?;
    Ok(())
}
