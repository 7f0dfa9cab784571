//! A monitor watches masters and their replicas, agrees with other monitors that a master is down,
//! and has a replica take its place: what Redis calls a Sentinel.
//!
//! ```text
//!  links, names, scripts, commands, time
//!      |  Input                        ^  Action
//!      v                               |
//!   Monitor --- Master ---+--- the master itself    +----------------------------+
//!      |          |       +--- its replicas         | Own: run ID, epoch,        |
//!      |          |       +--- the other monitors   | contacts, names, scripts   |
//!      |          +-- ballot, failover              +----------------------------+
//! ```
//!
//! One failover, as it is seen from outside:
//!
//! ```text
//!  t                     monitor A                          monitor B
//!  0        the master stops answering
//!  down-after    +sdown: asks the others          +sdown: answers "down"
//!           +odown: enough others agree
//!           +new-epoch, +try-failover: epoch n is saved, then votes are asked for
//!                                                 +vote-for-leader: saved, then answered
//!           +elected-leader: a majority voted
//!           +selected-slave, and it is told to lead
//!           +promoted-slave: INFO says role:master; from here on its epoch is n
//!           hello with epoch n ---------------->  +config-update-from, +switch-master
//!           +slave-reconf-sent, -inprog, -done
//!           +failover-end, +switch-master
//! ```
//!
//! There are three kinds of epochs: `epoch` is the greatest that a monitor has heard of, a ballot
//! has the epoch of its last vote (one vote in each), and the epoch of a configuration is that in
//! which its failover was elected; the greater one wins everywhere.
//!
//! | file | its one thing |
//! |---|---|
//! | `monitor` | what happens is brought to whom it concerns; tilt; what the file holds |
//! | `own` | what a monitor has besides its masters |
//! | `master` | one master under watch, with its replicas and the other monitors |
//! | `instance` | one process under watch, and when it is down |
//! | `contact` | the connections to it |
//! | `info`, `hello` | what nodes and monitors say |
//! | `election` | votes and epochs |
//! | `failover` | its states; which replica is promoted |
//! | `orders` | what operators ask |
//! | `shown` | what people and clients are shown |
//! | `notice` | what is told to the world |
//! | `scripts` | which scripts run when |
//! | `names` | what is known of host names |
//! | `timers` | intervals |
//!
//! All of these are pure: no socket, no clock, no file, and no chance but the seed they are given.
//!
//! Invariants:
//!
//! * A vote, and an epoch in which votes are asked for, are on disk before anybody hears of them.
//! * Time is what callers say, and only ever grows: jumps of the wall clock are not seen at all.
//! * Nothing here waits: not for names, not for scripts, not for the disk.

mod contact;
mod election;
mod failover;
mod hello;
mod info;
mod instance;
mod master;
mod monitor;
mod names;
mod notice;
mod orders;
mod own;
mod scripts;
mod shown;
mod timers;

pub(crate) use crate::replication::Address;
