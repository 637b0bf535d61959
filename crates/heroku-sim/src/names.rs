//! Names of apps: renames, and other apps that take over a name.

use jiff::Timestamp;

use crate::app::AppSpec;
use crate::world::{Event, Missing, World};
use dynowarden_core::ident::AppName;

impl World {
    /// Gives an app another name. Its id, its dynos and its drains, with their URLs, stay.
    ///
    /// # Errors
    /// No such app, or the name is taken.
    pub fn rename(&mut self, app: &AppName, to: AppName, now: Timestamp) -> Result<(), Missing> {
        self.run_to(now);
        if self.apps.contains_key(&to) {
            return Err(Missing::App);
        }
        let mut state = self.apps.remove(app).ok_or(Missing::App)?;
        (state.spec.name, state.updated_at) = (to.clone(), now);
        self.apps.insert(to.clone(), state);
        for dyno in self.dynos.values_mut().filter(|dyno| dyno.app == *app) {
            dyno.app = to.clone();
        }
        for event in self.agenda.values_mut() {
            let (Event::Chat(name) | Event::Route(name) | Event::Replace(name, ..)) = event else {
                if let Event::Line(line) = event
                    && line.app == *app
                {
                    line.app = to.clone();
                }
                continue;
            };
            if name == app {
                *name = to.clone();
            }
        }
        Ok(())
    }

    /// Renames an app to `to`, and gives its old name to a new app with as many dynos, as a blue/green
    /// deployment does. The drains stay with the old one.
    ///
    /// # Errors
    /// No such app, or the name is taken.
    pub fn take_over(&mut self, name: &AppName, to: AppName, now: Timestamp) -> Result<(), Missing> {
        let spec = self.app(name.as_str()).ok_or(Missing::App)?.spec.clone();
        self.rename(name, to, now)?;
        self.add_app(AppSpec { chatter: None, router_every: None, ..spec }, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use crate::app::AppSpec;
    use crate::dyno::Behaviour;
    use crate::world::World;
    use dynowarden_core::ident::AppName;
    use dynowarden_core::time::later;

    fn name(text: &str) -> AppName {
        text.parse().expect("a name")
    }

    #[test]
    fn a_renamed_app_keeps_its_id_its_dynos_and_its_drains_and_another_may_take_the_name() {
        let start = Timestamp::UNIX_EPOCH;
        let at = |seconds| later(start, Duration::from_secs(seconds));
        let mut world = World::new(1, start);
        let mut spec = AppSpec::new(name("acme"), 2);
        spec.formations[0].plan.behaviour = Behaviour::Plateau { permille: 1500 };
        world.add_app(spec, start);
        let drain = world.add_drain(&name("acme"), "https://drain/logs/acme", start).expect("acme is there");
        let id = world.app("acme").expect("by name").id.clone();
        let dyno = world.dyno(&name("acme"), "web.1").expect("it is up").id;
        world.advance(at(60));

        world.take_over(&name("acme"), name("acme-old"), at(60)).expect("the name is free");
        let old = world.app(&id).expect("by id");
        assert_eq!((old.name(), old.drains.first()), (&name("acme-old"), Some(&drain)));
        assert_eq!(world.dyno(&name("acme-old"), "web.1").map(|dyno| dyno.id), Some(dyno));
        let other = world.app("acme").expect("taken over");
        assert!(other.id != id && other.drains.is_empty());
        assert_eq!(world.dynos(&name("acme")).count(), 2);

        world.restart(&name("acme-old"), &"web.1".parse().expect("a dyno"), at(61)).expect("it is there");
        let lines = world.advance(at(120));
        assert!(lines.iter().any(|line| line.app == name("acme-old") && line.text.starts_with(b"Error R14")));
        assert!(world.rename(&name("acme"), name("acme-old"), at(121)).is_err(), "the name is taken");
    }
}
