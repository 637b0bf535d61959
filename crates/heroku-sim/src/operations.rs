//! The actions of people and of the Platform API on the world.

use std::time::Duration;

use jiff::Timestamp;

use crate::app::{DrainResource, Release};
use crate::dyno::DynoPlan;
use crate::world::{Cause, Event, Missing, OWNER, World};
use dynowarden_core::ident::{AppName, DynoName, ProcessType};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// All at once, as on the Common Runtime.
    AtOnce,
    /// One after the other at this interval, as in Private Spaces.
    Rolling(Duration),
}

impl World {
    /// Restarts one dyno: its place gets a new instance at once, which starts and comes up later.
    ///
    /// # Errors
    /// No such app or dyno.
    pub fn restart(&mut self, app: &AppName, name: &DynoName, now: Timestamp) -> Result<(), Missing> {
        self.run_to(now);
        self.current_key(app, name)?;
        self.replace(app, name, Cause::Person);
        Ok(())
    }

    /// Restarts one dyno after a delay: a request that was queued although its sender got no answer.
    pub fn restart_in(&mut self, span: Duration, app: &AppName, name: &DynoName, now: Timestamp) {
        self.run_to(now);
        self.plan_in(span, Event::Replace(app.clone(), name.clone(), Cause::Person));
    }

    /// Makes a release and replaces all dynos; those of `web` overlap for three minutes with preboot.
    ///
    /// # Errors
    /// No such app.
    pub fn deploy(&mut self, app: &AppName, rollout: Rollout, now: Timestamp) -> Result<u64, Missing> {
        self.run_to(now);
        let commit = format!("{:08x}", self.chance.draw() >> 32);
        let description = format!("Deploy {commit}");
        let id = self.chance.uuid();
        let state = self.apps.get_mut(app).ok_or(Missing::App)?;
        let version = state.version() + 1;
        state.releases.push(Release { created_at: self.now, description, id, version });
        state.updated_at = self.now;
        state.crashes.clear();
        let is_placed = |key: &u64| self.dynos.get(key).is_some_and(|dyno| !dyno.is_one_off);
        let places: Vec<DynoName> =
            state.current.iter().filter(|(_, key)| is_placed(key)).map(|(name, _)| name.clone()).collect();
        self.say_api(app, Duration::ZERO, format!("Deploy {commit} by user {OWNER}"));
        self.say_api(app, MS, format!("Release v{version} created by user {OWNER}"));
        let mut span = Duration::from_secs(1);
        for place in places {
            self.plan_in(span, Event::Replace(app.clone(), place, Cause::Release));
            if let Rollout::Rolling(step) = rollout {
                span += step;
            }
        }
        Ok(version)
    }

    /// Sets how many dynos a process type has.
    ///
    /// # Errors
    /// No such app or process type.
    pub fn scale(
        &mut self,
        app: &AppName,
        process_type: &ProcessType,
        quantity: u32,
        now: Timestamp,
    ) -> Result<(), Missing> {
        self.run_to(now);
        let state = self.apps.get_mut(app).ok_or(Missing::App)?;
        let formation = state.formation_mut(process_type.as_str()).ok_or(Missing::Formation)?;
        let before = std::mem::replace(&mut formation.quantity, quantity);
        let label = formation.size.label;
        self.say_api(
            app,
            Duration::ZERO,
            format!("Scaled to {process_type}@{quantity}:{label} by user {OWNER}"),
        );
        for index in before + 1..=quantity {
            let key = self.add_instance(app, &DynoName::new(process_type.clone(), index), self.now);
            let span = self.chance.span(MS * 800, MS * 2000);
            self.plan_in(span, Event::Start(key));
        }
        for index in quantity + 1..=before {
            self.remove(app, &DynoName::new(process_type.clone(), index));
        }
        Ok(())
    }

    /// Ends the process of a dyno with status 1.
    ///
    /// # Errors
    /// No such app or dyno.
    pub fn crash(&mut self, app: &AppName, name: &DynoName, now: Timestamp) -> Result<(), Missing> {
        self.run_to(now);
        let key = self.current_key(app, name)?;
        self.crash_dyno(key);
        Ok(())
    }

    /// Puts a dyno to sleep, as an Eco dyno without traffic.
    ///
    /// # Errors
    /// No such app or dyno.
    pub fn idle(&mut self, app: &AppName, name: &DynoName, now: Timestamp) -> Result<(), Missing> {
        self.run_to(now);
        let key = self.current_key(app, name)?;
        self.idle_dyno(key);
        Ok(())
    }

    /// Turns maintenance mode on or off.
    ///
    /// # Errors
    /// No such app.
    pub fn set_maintenance(&mut self, app: &AppName, on: bool, now: Timestamp) -> Result<(), Missing> {
        self.run_to(now);
        let state = self.apps.get_mut(app).ok_or(Missing::App)?;
        (state.maintenance, state.updated_at) = (on, now);
        Ok(())
    }

    /// Sets when the instance at a place was created and when its state last changed.
    ///
    /// # Errors
    /// No such app or dyno.
    pub fn set_created_at(&mut self, app: &AppName, name: &DynoName, at: Timestamp) -> Result<(), Missing> {
        let key = self.current_key(app, name)?;
        let dyno = self.dynos.get_mut(&key).ok_or(Missing::Dyno)?;
        (dyno.created_at, dyno.updated_at) = (at, at);
        Ok(())
    }

    /// Gives the processes at a place their own plan, now and for every later instance.
    ///
    /// # Errors
    /// No such app.
    pub fn set_plan(&mut self, app: &AppName, name: DynoName, plan: DynoPlan) -> Result<(), Missing> {
        let state = self.apps.get_mut(app).ok_or(Missing::App)?;
        let key = state.current.get(&name).copied();
        state.plans.insert(name, plan);
        if let Some(key) = key {
            self.resample(key);
        }
        Ok(())
    }

    /// Registers a drain.
    ///
    /// # Errors
    /// No such app.
    pub fn add_drain(&mut self, app: &AppName, url: &str, now: Timestamp) -> Result<DrainResource, Missing> {
        self.run_to(now);
        let token = format!("d.{}", self.chance.uuid()).parse().expect("d. and a UUID are a drain token");
        let drain = DrainResource { created_at: now, id: self.chance.uuid(), token, url: url.into() };
        self.apps.get_mut(app).ok_or(Missing::App)?.drains.push(drain.clone());
        Ok(drain)
    }

    /// Removes the drain with this id, URL or token.
    ///
    /// # Errors
    /// No such app or drain.
    pub fn remove_drain(&mut self, app: &AppName, key: &str) -> Result<DrainResource, Missing> {
        let drains = &mut self.apps.get_mut(app).ok_or(Missing::App)?.drains;
        let at = drains.iter().position(|drain| drain.answers_to(key)).ok_or(Missing::Drain)?;
        Ok(drains.remove(at))
    }
}

const MS: Duration = Duration::from_millis(1);
