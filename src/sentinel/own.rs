//! What a monitor has besides its masters: who it is, its epoch, its connections, and what is to
//! be done.
//!
//! # Invariants
//!
//! * Whoever changes something that the file holds calls [`Own::changed`], so that `generation`
//!   counts such changes, and a save is asked for.
//! * `saved` never exceeds `generation`.

use std::sync::Arc;

use super::Address;
use super::contact::{Asked, ContactNo, Contacts, InstanceNo, LinkNo, Question, Seat, Wish};
use super::monitor::{Action, Global, Simulated};
use super::names::Names;
use super::notice::{Event, Level, Notice};
use super::scripts::Scripts;
use super::timers::Timers;
use crate::chance::Chance;

/// An attempt to fail over is dated up to so much into the future, so that monitors do not try
/// again in step.
const DESYNC_MS_MAX: u64 = 1000;

pub(crate) struct Own {
    pub(crate) id: Arc<str>,
    pub(crate) epoch: u64,
    pub(crate) global: Global,
    pub(crate) timers: Timers,
    pub(crate) contacts: Contacts,
    pub(crate) names: Names,
    pub(crate) scripts: Scripts,
    pub(crate) now_ms: u64,
    /// Since when nothing that is seen is trusted.
    pub(crate) tilt_ms: Option<u64>,
    pub(crate) simulated: Simulated,
    /// Counts the changes of what the file holds.
    generation: u64,
    saved: u64,
    save_fails: bool,
    instance: u64,
    chance: Chance,
    actions: Vec<Action>,
}

impl Own {
    pub(crate) fn new(id: Arc<str>, epoch: u64, global: Global, seed: u64, now_ms: u64) -> Self {
        Self {
            id,
            epoch,
            global,
            timers: Timers::default(),
            contacts: Contacts::default(),
            names: Names::default(),
            scripts: Scripts::default(),
            now_ms,
            tilt_ms: None,
            simulated: Simulated::default(),
            generation: 0,
            saved: 0,
            save_fails: false,
            instance: 0,
            chance: Chance::new(seed),
            actions: Vec::new(),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Something that the file holds has changed; gives the generation that has the change.
    pub(crate) fn changed(&mut self) -> u64 {
        self.generation += 1;
        if !self.actions.contains(&Action::Save) {
            self.actions.push(Action::Save);
        }
        self.generation
    }

    pub(crate) fn saved(&mut self, generation: u64) {
        self.saved = self.saved.max(generation.min(self.generation));
        self.save_fails = false;
    }

    pub(crate) fn not_saved(&mut self) {
        self.save_fails = true;
    }

    pub(crate) fn save_fails(&self) -> bool {
        self.save_fails
    }

    pub(crate) fn has_saved(&self, generation: u64) -> bool {
        self.saved >= generation
    }

    /// A number from 0 to less than [`DESYNC_MS_MAX`].
    pub(crate) fn desync_ms(&self) -> u64 {
        self.chance.next() % DESYNC_MS_MAX
    }

    pub(crate) fn next_instance(&mut self) -> InstanceNo {
        self.instance += 1;
        InstanceNo(self.instance)
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// What is to be done, in this order.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        for name in self.names.take_wanted() {
            self.actions.push(Action::Resolve { name });
        }
        std::mem::take(&mut self.actions)
    }

    /// Tells what happened; `script` is the notification script of the master that it is about.
    pub(crate) fn tell(&mut self, event: Event, script: Option<&str>, text: impl Into<Box<str>>) {
        let text = text.into();
        if let Some(script) = script.filter(|_| event.level == Level::Warning) {
            self.scripts.schedule(&[script, event.name, &text]);
        }
        self.actions.push(Action::Tell(Notice {
            level: event.level,
            event: event.name,
            text,
        }));
    }

    /// An address as others are told of it.
    pub(crate) fn shown(&self, address: &Address) -> Address {
        let ip = self.names.known(&address.host);
        match ip.filter(|_| !self.global.announce_hostnames) {
            Some(ip) => Address::new(&ip.to_string(), address.port),
            None => address.clone(),
        }
    }

    /// Whether two places are one.
    pub(crate) fn same(&mut self, one: &Address, other: &Address) -> bool {
        self.names.same(one, other, self.now_ms)
    }

    /// Whether a host may be used: a name only if names are looked up.
    pub(crate) fn takes_host(&self, host: &str) -> bool {
        let is_ip = host.parse::<std::net::IpAddr>().is_ok();
        is_ip || (self.global.resolve_hostnames && !host.is_empty())
    }

    /// Asks a process; whether there is a way to it.
    pub(crate) fn ask(
        &mut self,
        contact: ContactNo,
        seat: &Seat,
        question: Question,
        words: &[&str],
    ) -> bool {
        let (seat, at_ms) = (seat.clone(), self.now_ms);
        let asked = Asked {
            question,
            seat,
            at_ms,
        };
        let Some(link) = self.contacts.ask(contact, asked, self.now_ms) else {
            return false;
        };
        self.send(link, words);
        true
    }

    /// Sends a request whose answer is counted already, or that goes over a link for messages.
    pub(crate) fn send(&mut self, link: LinkNo, words: &[&str]) {
        let words = words.iter().map(|word| word.as_bytes().into()).collect();
        self.actions.push(Action::Send { link, words });
    }

    /// Does what connections need; `to` is where the process is.
    pub(crate) fn fulfil(&mut self, wishes: Vec<Wish>, to: &Address) {
        for wish in wishes {
            match wish {
                Wish::Open(link, kind) => {
                    self.names.look_up(&to.host, self.now_ms);
                    let to = to.clone();
                    self.actions.push(Action::Connect { link, kind, to });
                }
                Wish::Close(link) => self.actions.push(Action::Close { link }),
            }
        }
    }

    /// Has the connections to a process made anew.
    pub(crate) fn hang_up(&mut self, contact: ContactNo) {
        for link in self.contacts.hang_up(contact) {
            self.actions.push(Action::Close { link });
        }
    }

    /// Gives up a seat.
    pub(crate) fn leave(&mut self, contact: ContactNo, instance: InstanceNo) {
        for link in self.contacts.leave(contact, instance) {
            self.actions.push(Action::Close { link });
        }
    }
}
