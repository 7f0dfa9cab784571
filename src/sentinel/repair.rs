//! What nodes say of themselves in INFO, and what is put right then.
//!
//! Replicas that are not what they should be are put right, if the master is well, and leads, and
//! they are well:
//!
//! | a replica | is told to follow the master after | event |
//! |---|---|---|
//! | calls itself a master | four publish periods (*) | `+convert-to-slave` |
//! | follows another | the failover timeout | `+fix-slave-config` |
//! | is handing over to nobody knows whom | the failover timeout | `+fix-slave-config` |
//!
//! (*) At once, by the monitor that led the failover in which it was replaced, if that is safe: see
//! [`Master::is_replaced`].

use super::Address;
use super::failover::Stage;
use super::info::{Info, Role};
use super::master::{Master, Other, Reconf, Who};
use super::notice::{
    CONVERT, Event, FIX_CONFIG, REBOOT, RECONF_DONE, RECONF_IN_PROGRESS, ROLE_AGREES, ROLE_DIFFERS,
    SLAVE,
};
use super::own::Own;

impl Master {
    /// Takes in what a node says of itself, and puts right what is wrong with it.
    pub(crate) fn informed(&mut self, own: &mut Own, who: Who, text: &str, asked_ms: u64) {
        let info = Info::read(text);
        let news = self.instance_mut(who).informed(text, &info, own.now_ms);
        self.instance_mut(who).facts.asked_ms = asked_ms;
        if news.rebooted {
            self.tell(own, REBOOT, who);
            if who == Who::Master && self.settings.master_reboot_down_after_ms != 0 {
                self.at.reboot_ms = Some(own.now_ms);
            }
        }
        if who == Who::Master {
            for address in &info.replicas {
                if own.takes_host(&address.host) && self.add_replica(own, address) {
                    let added = Who::Replica(self.replicas.len() - 1);
                    self.tell(own, SLAVE, added);
                    own.changed();
                }
            }
        }
        if news.role_changed {
            let agrees = match who {
                Who::Master => info.role == Role::Master,
                _ => info.role == Role::Replica,
            };
            let event = if agrees { ROLE_AGREES } else { ROLE_DIFFERS };
            let more = format!("new reported role is {}", info.role.word());
            self.tell_more(own, event, who, &more);
        }
        if own.tilt_ms.is_some() {
            return;
        }
        let Who::Replica(index) = who else {
            for index in 0..self.replicas.len() {
                match self.replicas[index].at.facts.role {
                    Role::Master if self.promoted() != Some(index) => self.convert(own, index),
                    Role::Replica => self.see_whom_it_follows(own, index),
                    _ => {}
                }
            }
            return;
        };
        let is_promoted = self.promoted() == Some(index);
        match info.role {
            Role::Master if is_promoted && self.stage() == Some(Stage::WaitPromotion) => {
                self.promoted_leads(own, index);
            }
            Role::Master if !is_promoted => self.convert(own, index),
            Role::Replica => {
                self.replicas[index].is_untold = false;
                self.see_whom_it_follows(own, index);
                self.see_how_far_it_is(own, index);
            }
            _ => {}
        }
    }

    /// Has another master follow, at once if it is certain what it is: with `sync-replicas` nothing
    /// is acknowledged until it does.
    fn convert(&mut self, own: &mut Own, index: usize) {
        let (since_ms, wait_ms) = match self.is_replaced(own, index) {
            true => (0, 0),
            false => {
                let role_ms = self.replicas[index].at.facts.role_ms;
                (role_ms, 4 * own.timers.publish_period_ms)
            }
        };
        if self.put_right(own, index, since_ms, wait_ms, CONVERT) {
            self.replicas[index].is_untold = false;
        }
    }

    /// Whether one that leads is the master that we have replaced, and nothing that anybody thinks,
    /// or may have said to a node before, can be against its following the one that leads now:
    ///
    /// * no failover has been tried since ours;
    /// * the configuration before had stood for long, so nothing is on its way any more that the
    ///   monitor which led before us said to the new master;
    /// * it has not followed meanwhile, so nobody has promoted it since;
    /// * every other monitor that we know of has said for a while, and said just now, that the
    ///   master is where we have it.
    fn is_replaced(&self, own: &Own, index: usize) -> bool {
        let agrees = |other: &Other| {
            let is_here = own.now_ms - other.hello_ms <= 2 * own.timers.publish_period_ms;
            let is_same = |(epoch, since_ms)| {
                epoch == self.config_epoch && own.now_ms - since_ms >= own.timers.ask_period_ms
            };
            is_here && other.agrees.is_some_and(is_same)
        };
        self.is_to_convert(own, index) && self.others.iter().all(agrees)
    }

    /// The same, whatever the other monitors say.
    pub(crate) fn is_to_convert(&self, own: &Own, index: usize) -> bool {
        let is_last = self.led_epoch == Some(self.config_epoch) && own.epoch == self.config_epoch;
        is_last && self.replicas[index].is_untold
    }

    /// Another monitor says what it knows of the master.
    pub(crate) fn hear_of_config(
        &mut self,
        own: &mut Own,
        index: usize,
        epochs: [u64; 2],
        to: &Address,
    ) {
        let is_same = own.same(to, self.current()) && epochs == [own.epoch, self.config_epoch];
        let (other, epoch) = (&mut self.others[index], self.config_epoch);
        let known = other.agrees.filter(|agrees| agrees.0 == epoch);
        other.hello_ms = own.now_ms;
        other.agrees = is_same.then(|| known.unwrap_or((epoch, own.now_ms)));
    }

    /// Has a replica follow the master if it does not, or is about to lose its way.
    fn see_whom_it_follows(&mut self, own: &mut Own, index: usize) {
        let facts = &self.replicas[index].at.facts;
        let wait_ms = self.settings.failover_timeout_ms;
        let follows = facts.master();
        let strays = follows.is_none_or(|follows| !own.same(&follows, self.current()));
        let hands_over = facts.hands_over() && self.failover.is_none();
        let since_ms = match (strays, hands_over) {
            (true, _) => facts.master_ms,
            (false, true) => facts.failover_ms,
            (false, false) => return,
        };
        self.put_right(own, index, since_ms, wait_ms, FIX_CONFIG);
    }

    /// Has a replica follow the master, if both are well and it has been otherwise for so long;
    /// whether it was told to. The master is asked first whether it still leads, lest two nodes
    /// follow each other.
    fn put_right(
        &self,
        own: &mut Own,
        index: usize,
        since_ms: u64,
        wait_ms: u64,
        event: Event,
    ) -> bool {
        let now_ms = own.now_ms;
        let sdown_ms = self.replicas[index].at.sdown.since_ms;
        let is_well = sdown_ms.is_none_or(|ms| now_ms - ms > wait_ms);
        if !is_well || now_ms - since_ms <= wait_ms || !self.looks_sane(own) {
            return false;
        }
        let told_ms = self.replicas[index].at.facts.told_ms.unwrap_or(0);
        if self.at.facts.asked_ms < told_ms {
            self.ask_info(own, Who::Master);
            return false;
        }
        if now_ms - told_ms > own.timers.ask_period_ms {
            return false;
        }
        let to = self.at.address.clone();
        let is_told = self.send_replicaof(own, Who::Replica(index), Some(&to));
        if is_told {
            self.tell(own, event, Who::Replica(index));
        }
        is_told
    }

    /// Whether the master is to be relied on.
    fn looks_sane(&self, own: &Own) -> bool {
        let told_ms = self.at.facts.told_ms;
        let is_fresh = told_ms.is_some_and(|ms| own.now_ms - ms < 2 * own.timers.info_period_ms);
        let is_down = self.at.sdown.is || self.odown.is;
        self.at.facts.role == Role::Master && !is_down && is_fresh
    }

    /// Notes how far a replica is in following the promoted one.
    fn see_how_far_it_is(&mut self, own: &mut Own, index: usize) {
        let Some(promoted) = self.promoted() else {
            return;
        };
        let facts = &self.replicas[index].at.facts;
        let (follows, link_up) = (facts.master(), facts.link_up);
        if matches!(self.replicas[index].reconf, Reconf::Sent { .. })
            && follows.is_some_and(|it| own.same(&it, &self.replicas[promoted].at.address))
        {
            self.replicas[index].reconf = Reconf::InProgress;
            self.tell(own, RECONF_IN_PROGRESS, Who::Replica(index));
        }
        if self.replicas[index].reconf == Reconf::InProgress && link_up {
            self.replicas[index].reconf = Reconf::Done;
            self.tell(own, RECONF_DONE, Who::Replica(index));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{A, B, MASTER, Scene, address, follows, orders, sent};
    use super::*;

    const OTHERS: [&str; 2] = ["10.1.0.2:26379", "10.1.0.3:26379"];

    #[test]
    fn replicas_are_found_in_what_the_master_says() {
        let mut master = orders();
        (master.replicas, master.others) = (Vec::new(), Vec::new());
        let mut scene = Scene::well(vec![master]);
        let info = "role:master\r\nslave0:ip=10.0.0.2,port=6379,state=online\r\n\
                    slave1:ip=node-b,port=6379,state=online\r\n";
        let found = "+slave slave 10.0.0.2:6379 10.0.0.2 6379 @ orders 10.0.0.1 6379";
        assert_eq!(scene.says(MASTER, info), [found, "saves"]);
        assert_eq!(scene.says(MASTER, info), [""; 0]);
        assert_eq!(
            scene.monitor.state().masters[0].replicas,
            [address("10.0.0.2:6379")]
        );
        scene.monitor.own.global.resolve_hostnames = true;
        let found = "+slave slave node-b:6379 node-b 6379 @ orders 10.0.0.1 6379";
        let said = scene.says(MASTER, info);
        assert_eq!(said, [found, "saves", "looks up node-b"]);
    }

    #[test]
    fn changes_of_role_and_reboots_are_told() {
        let mut scene = Scene::well(vec![orders()]);
        let about = "slave 10.0.0.2:6379 10.0.0.2 6379 @ orders 10.0.0.1 6379";
        let info =
            |letter: &str, role: &str| format!("run_id:{}\r\nrole:{role}\r\n", letter.repeat(40));
        assert_eq!(
            scene.says("10.0.0.2:6379", &info("c", "master")),
            [format!("-role-change {about} new reported role is master")]
        );
        assert_eq!(
            scene.says("10.0.0.2:6379", &info("d", "slave")),
            [
                format!("+reboot {about}"),
                format!("+role-change {about} new reported role is slave")
            ]
        );
    }

    const TO_MASTER: [&str; 7] = [
        "10.0.0.2:6379 < MULTI",
        "10.0.0.2:6379 < SLAVEOF 10.0.0.1 6379",
        "10.0.0.2:6379 < CONFIG REWRITE",
        "10.0.0.2:6379 < CLIENT KILL TYPE normal",
        "10.0.0.2:6379 < CLIENT KILL TYPE pubsub",
        "10.0.0.2:6379 < EXEC",
        "10.0.0.2:6379 < INFO",
    ];

    #[test]
    fn a_replica_that_strays_is_put_right_when_all_is_well() {
        let about = "slave 10.0.0.2:6379 10.0.0.2 6379 @ orders 10.0.0.1 6379";
        let elsewhere = follows("10.0.0.9:6379", 1);
        for (info, wait_ms, event) in [
            ("role:master\r\n", 8000, "+convert-to-slave"),
            (&elsewhere, 20_000, "+fix-slave-config"),
        ] {
            // When it was put right, and with what words.
            let put_right = |lead: &str, spoil: fn(&mut Master)| {
                let mut scene = Scene::well(vec![orders()]);
                scene.says("10.0.0.2:6379", info);
                while scene.now_ms < wait_ms + 1500 {
                    scene.pass(scene.now_ms + 100, &["10.0.0.2:6379"]);
                    scene.hear("10.0.0.2:6379");
                    spoil(scene.monitor.masters.get_mut("orders").unwrap());
                    scene.inform("10.0.0.2:6379", info);
                    let said = scene.inform(MASTER, lead);
                    if let Some(at) = said.iter().position(|line| line.ends_with("MULTI")) {
                        return Some((scene.now_ms, said[at..].to_vec()));
                    }
                }
                None
            };
            let leads = "role:master\r\n";
            let (ms, said) = put_right(leads, |_| ()).unwrap();
            assert!((wait_ms..=wait_ms + 1200).contains(&ms), "{event} at {ms}");
            let (told, words) = said.split_last().unwrap();
            assert_eq!(words, TO_MASTER);
            assert_eq!(*told, format!("{event} {about}"));

            // Not if the replica was down meanwhile, or there is no telling how the master is.
            let was_down = |it: &mut Master| it.replicas[0].at.sdown.since_ms = Some(1000);
            assert_eq!(put_right(leads, was_down), None);
            assert_eq!(put_right(leads, |master| master.odown.is = true), None);
            let stale = |master: &mut Master| master.at.facts.role = Role::Replica;
            assert_eq!(put_right(leads, stale), None);
            // Nor if it follows that very replica since it was asked last.
            let follows = follows("10.0.0.2:6379", 1);
            assert_eq!(put_right(&follows, |_| ()), None);
        }
    }

    /// A failover of ours, after so long, has made 10.0.0.2 the master, and two other monitors have
    /// heard of that. What is said when the old master leads on, and the new one is well.
    fn comes_back(after_ms: u64, spoil: fn(&mut Master, &mut Own)) -> Vec<String> {
        let (one, two) = ("10.0.0.2:6379", "10.0.0.3:6379");
        let mut scene = Scene::well(vec![orders()]);
        scene.pass(after_ms, &[MASTER]);
        scene.monitor.failover(after_ms, "orders", false).unwrap();
        scene.act();
        scene.inform(one, "role:master\r\n");
        scene.inform(two, &follows(one, 100));
        assert_eq!(scene.master().at.address, address(one));
        scene.tick(after_ms + 1);
        scene.all_open();
        let hello = |scene: &mut Scene| {
            for (id, at) in [A, B].into_iter().zip(OTHERS) {
                scene.hello(id, at, [1, 1], one);
            }
        };
        hello(&mut scene);
        scene.inform(one, "role:master\r\n");
        scene.tick(after_ms + 1000);
        hello(&mut scene);
        scene.tick(after_ms + 1001);
        let (masters, own) = (&mut scene.monitor.masters, &mut scene.monitor.own);
        spoil(masters.get_mut("orders").unwrap(), own);
        let said = scene.says(MASTER, "role:master\r\n");
        let said = [said, scene.says(one, "role:master\r\n")].concat();
        let told = sent(&said, MASTER);
        let is_told = told.contains(&"SLAVEOF 10.0.0.2 6379".to_owned());
        let is_converted = |line: &String| line.starts_with("+convert-to-slave slave 10.0.0.1");
        assert_eq!(said.iter().any(is_converted), is_told);
        said
    }

    #[test]
    fn a_master_that_we_replaced_follows_at_once() {
        let said = comes_back(8000, |_, _| ());
        let about = "slave 10.0.0.1:6379 10.0.0.1 6379 @ orders 10.0.0.2 6379";
        assert_eq!(
            said,
            [
                &format!("-role-change {about} new reported role is master"),
                "10.0.0.2:6379 < INFO",
                "10.0.0.1:6379 < MULTI",
                "10.0.0.1:6379 < SLAVEOF 10.0.0.2 6379",
                "10.0.0.1:6379 < CONFIG REWRITE",
                "10.0.0.1:6379 < CLIENT KILL TYPE normal",
                "10.0.0.1:6379 < CLIENT KILL TYPE pubsub",
                "10.0.0.1:6379 < EXEC",
                "10.0.0.1:6379 < INFO",
                &format!("+convert-to-slave {about}"),
            ]
        );
    }

    #[test]
    fn a_master_that_we_replaced_is_waited_for_if_anything_may_be_against_it() {
        let unsure: [fn(&mut Master, &mut Own); 8] = [
            |master, _| master.led_epoch = None,
            |_, own| own.epoch += 1,
            |master, _| master.config_epoch += 1,
            |master, _| master.replicas[1].is_untold = false,
            |master, own| master.others[1].hello_ms = own.now_ms - 4001,
            |master, _| master.others[1].agrees = None,
            |master, _| master.others[1].agrees.as_mut().unwrap().0 = 0,
            |master, _| master.others[1].agrees.as_mut().unwrap().1 += 1,
        ];
        let is_told = |said: Vec<String>| said.iter().any(|line| line.contains("SLAVEOF"));
        for (number, spoil) in unsure.into_iter().enumerate() {
            assert!(!is_told(comes_back(8000, spoil)), "{number}");
        }
        // The one before had not led for long.
        assert!(!is_told(comes_back(7900, |_, _| ())));
    }

    #[test]
    fn a_master_that_we_replaced_is_looked_at_often() {
        let mut scene = Scene::well(vec![orders()]);
        let (masters, own) = (&mut scene.monitor.masters, &mut scene.monitor.own);
        let master = masters.get_mut("orders").unwrap();
        let period_ms = |master: &Master, own: &Own| master.info_period_ms(own, Who::Replica(0));
        master.replicas[0].is_untold = true;
        master.replicas[0].at.facts.role = Role::Master;
        assert_eq!(period_ms(master, own), 1000);
        master.led_epoch = Some(0);
        assert_eq!(period_ms(master, own), 100);
        master.replicas[0].at.facts.role = Role::Replica;
        assert_eq!(period_ms(master, own), 10_000);
        master.replicas[0].at.facts.role = Role::Master;
        master.replicas[0].is_untold = false;
        assert_eq!(period_ms(master, own), 1000);
    }

    #[test]
    fn whether_the_new_master_leads_is_asked_when_the_old_one_comes_back() {
        let (old, lead) = ("10.0.0.2:6379", "role:master\r\n");
        let mut scene = Scene::well(vec![orders()]);
        scene.tick(2000);
        scene.answer_all();
        let (masters, own) = (&mut scene.monitor.masters, &mut scene.monitor.own);
        let master = masters.get_mut("orders").unwrap();
        (master.led_epoch, master.replicas[0].is_untold) = (Some(0), true);
        for other in &mut master.others {
            (other.hello_ms, other.agrees) = (2000, Some((0, 1000)));
        }
        master.ask_info(own, Who::Master);
        scene.act();
        scene.tick(2001);
        let is_told = |said: Vec<String>| !sent(&said, old).is_empty();
        assert!(!is_told(scene.says(old, lead)));
        assert!(
            !is_told(scene.inform(MASTER, lead)),
            "that was asked before"
        );
        assert!(is_told(scene.inform(MASTER, lead)));
        // It is told once, and then waited for.
        assert!(!is_told(scene.says(old, lead)));
        assert!(!is_told(scene.inform(MASTER, lead)));
    }

    #[test]
    fn others_agree_for_as_long_as_they_say_the_same() {
        let mut scene = Scene::well(vec![orders()]);
        let (at, lead) = (OTHERS[0], MASTER);
        let hello = |scene: &mut Scene, now_ms, epochs, master| {
            scene.now_ms = now_ms;
            scene.hello(A, at, epochs, master);
            scene.master().others[0].agrees
        };
        assert_eq!(hello(&mut scene, 100, [0, 0], lead), Some((0, 100)));
        assert_eq!(hello(&mut scene, 200, [0, 0], lead), Some((0, 100)));
        assert_eq!(hello(&mut scene, 300, [0, 0], "10.0.0.2:6379"), None);
        assert_eq!(hello(&mut scene, 400, [0, 0], lead), Some((0, 400)));
        assert_eq!(
            hello(&mut scene, 500, [2, 2], "10.0.0.2:6379"),
            Some((2, 500))
        );
        assert_eq!(hello(&mut scene, 600, [2, 1], "10.0.0.2:6379"), None);
        assert_eq!(hello(&mut scene, 700, [1, 2], "10.0.0.2:6379"), None);
    }
}
