//! One-off dynos with a formation's type, as `heroku run --type=web` starts them.
//!
//! The API lists them beside the formation's dynos, under a number outside its quantity. They log memory and
//! errors as any other, belong to a person, and are never replaced.

use std::time::Duration;

use jiff::Timestamp;

use crate::dyno::DynoPlan;
use crate::world::{Event, Missing, World};
use dynowarden_core::ident::{AppName, DynoName};
use dynowarden_core::time::earlier;

/// A command that a person runs.
#[derive(Clone, Debug)]
pub struct OneOff {
    /// Such as `web.4321`.
    pub name: DynoName,
    pub plan: DynoPlan,
    /// Whether a terminal is attached; `heroku run:detached` leaves `attach_url` empty.
    pub is_attached: bool,
    /// When its command ends.
    pub lasting: Duration,
}

impl World {
    /// Starts a one-off dyno, which is up at once.
    ///
    /// # Errors
    /// No such app.
    pub fn run(&mut self, app: &AppName, one_off: OneOff, now: Timestamp) -> Result<(), Missing> {
        self.run_to(now);
        let OneOff { name, plan, is_attached, lasting } = one_off;
        self.apps.get_mut(app).ok_or(Missing::App)?.plans.insert(name.clone(), plan);
        let key = self.add_instance(app, &name, now);
        let secret = self.chance.uuid();
        let dyno = self.dynos.get_mut(&key).ok_or(Missing::Dyno)?;
        dyno.is_one_off = true;
        dyno.attach_url =
            is_attached.then(|| format!("rendezvous://rendezvous.runtime.heroku.com:5000/{secret}"));
        dyno.command = "rails console".to_owned();
        self.say(key, Duration::ZERO, "Starting process with command `rails console`");
        self.say(key, MS * 40, "State changed from starting to up");
        // Its first second is over, so that the times of the API show it as up.
        self.come_up(key, earlier(now, MS), now);
        self.plan_in(lasting, Event::Exit(key, 0));
        Ok(())
    }
}

const MS: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::OneOff;
    use crate::app::AppSpec;
    use crate::dyno::{Behaviour, DynoPlan};
    use crate::operations::Rollout;
    use crate::world::World;
    use dynowarden_core::ident::AppName;
    use dynowarden_core::time::later;

    fn world() -> (World, AppName) {
        let start = Timestamp::UNIX_EPOCH;
        let name: AppName = "acme".parse().expect("a name");
        let mut world = World::new(3, start);
        world.add_app(AppSpec::new(name.clone(), 2), start);
        let plan = DynoPlan { behaviour: Behaviour::Plateau { permille: 1500 }, ..DynoPlan::default() };
        let one_off = OneOff {
            name: "web.4321".parse().expect("a dyno"),
            plan,
            is_attached: true,
            lasting: Duration::from_secs(600),
        };
        world.run(&name, one_off, start).expect("acme is there");
        (world, name)
    }

    fn errors(world: &mut World, seconds: u64) -> usize {
        let lines = world.advance(later(Timestamp::UNIX_EPOCH, Duration::from_secs(seconds)));
        lines.iter().filter(|line| line.procid == "web.4321" && line.text.starts_with(b"Error R14")).count()
    }

    #[test]
    fn a_one_off_logs_errors_beside_the_formation_until_its_command_ends() {
        let (mut world, acme) = world();
        let listed = |world: &World| world.dynos(&acme).count();
        assert_eq!((listed(&world), errors(&mut world, 100) > 3), (3, true));
        let dyno = world.dyno(&acme, "web.4321").expect("it is listed");
        assert!(dyno.attach_url.as_ref().is_some_and(|url| url.starts_with("rendezvous://")));
        assert_eq!(world.app("acme").and_then(|app| app.formation("web")).map(|web| web.quantity), Some(2));
        errors(&mut world, 601);
        assert_eq!((listed(&world), errors(&mut world, 800)), (2, 0));
        assert!(world.dyno(&acme, "web.4321").is_none());
    }

    #[test]
    fn a_release_leaves_it_alone_and_a_restart_ends_it() {
        let (mut world, acme) = world();
        let name = "web.4321".parse().expect("a dyno");
        let id = world.dyno(&acme, "web.4321").expect("it is listed").id;
        let now = later(Timestamp::UNIX_EPOCH, Duration::from_secs(60));
        world.deploy(&acme, Rollout::AtOnce, now).expect("acme is there");
        world.advance(later(now, Duration::from_secs(60)));
        assert_eq!(world.dyno(&acme, "web.4321").map(|dyno| dyno.id), Some(id));
        let now = later(now, Duration::from_secs(61));
        world.restart(&acme, &name, now).expect("it is listed");
        world.advance(later(now, Duration::from_secs(60)));
        assert!(world.dyno(&acme, "web.4321").is_none());
    }
}
