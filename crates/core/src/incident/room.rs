//! Room for incidents: one app's do not push out another's.

use std::collections::HashMap;

use crate::ident::AppId;
use crate::incident::Incidents;

impl Incidents {
    /// Forgets the oldest incident of the app that has most of them.
    pub(super) fn forget_one(&mut self) {
        let mut counts = HashMap::<AppId, usize>::new();
        self.incidents.values().for_each(|incident| *counts.entry(incident.app).or_default() += 1);
        let most = counts.into_iter().max_by_key(|(app, count)| (*count, *app)).map(|(app, _)| app);
        let oldest =
            self.incidents.iter().find(|(_, incident)| Some(incident.app) == most).map(|(id, _)| *id);
        if oldest.and_then(|oldest| self.incidents.remove(&oldest)).is_some() {
            self.forgotten += 1;
        }
    }
}
