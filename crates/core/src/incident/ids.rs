//! The ids of incidents.

use crate::incident::Incidents;
use crate::limits;

impl Incidents {
    /// An id for an incident that begins now: the same for every notifier, for it does not depend on what a
    /// notifier has sent.
    pub(super) fn incident_id(&mut self, about: &str) -> String {
        let id = format!("{about}-{:08x}-{:x}", self.plan.tag, self.now.wall.as_millisecond());
        let mut numbered = (2..).map(|number| format!("{id}-{number}"));
        let id = if self.ids.contains(&id) {
            numbered.find(|id| !self.ids.contains(id)).expect("more numbers than remembered ids")
        } else {
            id
        };
        if self.ids.len() >= limits::INCIDENT_IDS_REMEMBERED {
            self.ids.pop_front();
        }
        self.ids.push_back(id.clone());
        id
    }
}
