//! Room for incidents: one app's do not push out another's, and a shutdown leaves none unsent.

use std::collections::HashMap;

use crate::ident::AppId;
use crate::incident::Incidents;
use crate::incident::leaks::Leak;

impl Incidents {
    /// Makes all messages that are held back due.
    pub(super) fn make_all_due(&mut self) {
        let now = self.now.mono;
        let dues = self.incidents.values_mut().map(|incident| &mut incident.schedule.due);
        let dues = dues.chain(self.leaks.values_mut().filter(|leak| leak.is_news()).map(Leak::due));
        for due in dues.chain(self.outages.values_mut().map(|outage| &mut outage.schedule.due)) {
            *due = due.map(|due| due.min(now));
        }
    }

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
