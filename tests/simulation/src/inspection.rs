//! The parts of an inspection, put together as the program's client does it.

use dynowarden_core::api::inspection::{self, Answers, Fit};
use dynowarden_core::api::{ApiError, DynoInfo, FormationInfo, json};
use dynowarden_core::ident::DynoName;
use dynowarden_core::time::since;

use crate::Simulation;

impl Simulation {
    /// The formation's quantities as the program's client knows them: asked again after a while, and when the
    /// list of dynos contradicts them.
    pub(super) fn quantities(&mut self, app: usize, formation: &[DynoInfo]) -> Vec<json::Formation> {
        let listed = self.invariants.policy(app).process_types.clone();
        let name = self.app_name(app);
        let Some(daemon) = &mut self.daemon else { return Vec::new() };
        if let Some((asked_at, known, doubted)) = daemon.quantities.get(&app) {
            let every =
                Fit::of(&listed, formation, known).holds_for(&inspection::beyond(formation, known), doubted);
            if since(*asked_at, self.now) < every {
                return known.clone();
            }
        }
        let formations = self.platform.world.app(name.as_str()).map(|app| &app.spec.formations);
        let fresh: Vec<json::Formation> = formations
            .into_iter()
            .flatten()
            .map(|formation| json::Formation {
                process_type: formation.process_type.to_string(),
                quantity: formation.quantity,
                size: None,
            })
            .collect();
        let doubted = inspection::beyond(formation, &fresh);
        daemon.quantities.insert(app, (self.now, fresh.clone(), doubted));
        fresh
    }

    pub(super) fn assemble(
        &self,
        app: usize,
        dyno: Option<(&DynoName, Option<DynoInfo>)>,
        (formation, quantities): (Vec<DynoInfo>, &[json::Formation]),
    ) -> Result<FormationInfo, ApiError> {
        let listed = &self.invariants.policy(app).process_types;
        let preboot = self.scenario.apps[app].spec.preboot;
        FormationInfo::assemble(Answers { dyno, formation, listed, quantities: Some(quantities), preboot })
    }
}
