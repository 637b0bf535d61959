//! The figures that show the engine's state: given-up dynos, and the memory of each dyno.

use std::sync::PoisonError;

use jiff::Timestamp;

use crate::drain_activity::DrainActivities;
use crate::exposition::Exposition;
use crate::metrics::Metrics;
use crate::metrics::labels::DynoLabels;
use dynowarden_core::engine::status::AppStatus;
use dynowarden_core::ident::AppId;
use dynowarden_core::time::Now;

/// Heroku's megabyte: a dyno of 512 MB has 512 × 1024 × 1024 bytes.
const BYTES_PER_MB: f64 = 1_048_576.0;

impl Metrics {
    pub fn connections(&self, open: usize) {
        self.families.connections.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// Sets whether the Platform API has not answered for a while.
    pub fn api_away(&self, away: bool) {
        self.families.api_away.set(away.into());
    }

    /// Sets whether Heroku's status page is red.
    pub fn platform_red(&self, red: bool) {
        self.families.platform_red.set(red.into());
    }

    /// Sets the number of an app's dynos that the engine keeps state for.
    pub fn dynos(&self, app: AppId, tracked: usize) {
        let tracked = i64::try_from(tracked).unwrap_or(i64::MAX);
        self.of_app(&self.families.dynos, app, |gauge| _ = gauge.set(tracked));
    }

    /// Sets when the process started.
    pub fn started(&self, at: Timestamp) {
        self.families.started.set(at.as_millisecond() as f64 / 1000.0);
    }

    pub fn ready(&self, ready: bool) {
        self.families.ready.set(ready.into());
    }

    /// All figures as text, with the state of every watched dyno. Dynos that are gone have no series.
    pub fn render_with(
        &self,
        status: &[AppStatus],
        exposition: Exposition,
        drains: &DrainActivities,
        now: Now,
    ) -> String {
        // Two scrapes at once must not take each other's series away. The figures are consistent after each.
        let _one_at_a_time = self.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        let families = &self.families;
        families.dyno_memory.clear();
        families.dyno_quota.clear();
        for AppStatus { app, dynos, .. } in status {
            let given_up = dynos.iter().filter(|dyno| dyno.given_up_until.is_some()).count();
            let given_up = i64::try_from(given_up).unwrap_or(i64::MAX);
            self.of_app(&families.given_up, *app, |gauge| _ = gauge.set(given_up));
            let Some(label) = self.label(*app) else { continue };
            for dyno in dynos {
                let Some(memory) = dyno.memory else { continue };
                let labels = DynoLabels { app: label.clone(), dyno: dyno.name.to_string() };
                let used = memory.used.hundredths as f64 / 100.0 * BYTES_PER_MB;
                families.dyno_memory.get_or_create(&labels).set(used);
                if memory.permille > 0 {
                    let quota = used * 1000.0 / f64::from(memory.permille);
                    families.dyno_quota.get_or_create(&labels).set(quota);
                }
            }
        }
        self.render(exposition, drains, now)
    }
}
