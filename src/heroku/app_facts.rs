//! What changes rarely about an app: how many dynos each process type should have, and whether preboot is on.
//! Both are asked now and then, and again as soon as they contradict a list of dynos.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::heroku::Heroku;
use dynowarden_core::api::inspection::{self, Fit};
use dynowarden_core::api::json::Formation;
use dynowarden_core::api::{ApiError, DynoInfo};
use dynowarden_core::ident::{AppName, DynoName, ProcessType};
use dynowarden_core::limits;

/// The facts of each app, shared by the clones of a client. Bounded by the watched apps.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownFacts(Arc<Mutex<HashMap<AppName, Facts>>>);

#[derive(Clone, Debug, Default)]
struct Facts {
    preboot: Option<Answer<bool>>,
    quantities: Option<Answer<Arc<[Formation]>>>,
    /// The dynos that were beyond the quantities when those were asked for.
    doubted: Arc<[DynoName]>,
}

/// An answer of the API, or that it gave none.
#[derive(Clone, Debug)]
struct Answer<T> {
    asked_at: Instant,
    value: Option<T>,
}

impl<T: Clone> Answer<T> {
    fn is_due(known: Option<&Self>, every: Duration, now: Instant) -> bool {
        known.is_none_or(|answer| {
            let every = if answer.value.is_some() { every } else { limits::APP_FACTS_RETRY };
            now.saturating_duration_since(answer.asked_at) >= every
        })
    }
}

impl Heroku {
    /// Whether preboot is on. An unknown answer counts as off.
    pub(super) async fn has_preboot(
        &self,
        app: &AppName,
        tokens: &mut Option<u32>,
    ) -> Result<bool, ApiError> {
        let known = self.facts.of(app).preboot;
        let now = Instant::now();
        let before = known.as_ref().and_then(|answer| answer.value);
        if !Answer::is_due(known.as_ref(), limits::FEATURES_ASKED_EVERY, now) {
            return Ok(before.unwrap_or_default());
        }
        let answered = self.features(app).await;
        *tokens = answered.tokens_remaining.or(*tokens);
        if let Err(ApiError::Unreachable { .. }) = answered.value {
            // The other answers show whether the API is away. This one is asked for again with them.
            return Ok(before.unwrap_or_default());
        }
        let features = conclusive(answered.value)?;
        let fresh = features.map(|all| all.iter().any(|one| one.name == "preboot" && one.enabled));
        let value = fresh.or(before);
        self.facts.change(app, |facts| facts.preboot = Some(Answer { asked_at: now, value }));
        Ok(value.unwrap_or_default())
    }

    /// How many dynos each process type should have, in agreement with a list of dynos if that is possible;
    /// none if the API does not say. Also whether the API said so just now.
    pub(super) async fn quantities(
        &self,
        app: &AppName,
        listed: &[ProcessType],
        formation: &[DynoInfo],
        tokens: &mut Option<u32>,
    ) -> Result<(Option<Arc<[Formation]>>, bool), ApiError> {
        let Facts { quantities: known, doubted, .. } = self.facts.of(app);
        let now = Instant::now();
        let beyond = |quantities: &Option<Arc<[Formation]>>| {
            quantities.as_deref().map_or(Vec::new(), |quantities| inspection::beyond(formation, quantities))
        };
        if let Some(answer) = known {
            let fit = answer.value.as_ref().map_or(Fit::Fits, |known| Fit::of(listed, formation, known));
            let every = fit.holds_for(&beyond(&answer.value), &doubted);
            if !Answer::is_due(Some(&answer), every, now) {
                return Ok((answer.value, false));
            }
        }
        let answered = self.formation(app).await;
        *tokens = answered.tokens_remaining.or(*tokens);
        let value: Option<Arc<[Formation]>> = conclusive(answered.value)?.map(Into::into);
        let answer = Answer { asked_at: now, value: value.clone() };
        let doubted = beyond(&value).into();
        self.facts.change(app, |facts| (facts.quantities, facts.doubted) = (Some(answer), doubted));
        Ok((value, true))
    }
}

/// An API that is away must be asked again. One that does not answer this question must not hold up the
/// others.
fn conclusive<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error @ (ApiError::Throttled { .. } | ApiError::Unauthorized | ApiError::Unreachable { .. })) => {
            Err(error)
        }
        Err(_) => Ok(None),
    }
}

impl KnownFacts {
    fn of(&self, app: &AppName) -> Facts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(app).cloned().unwrap_or_default()
    }

    fn change(&self, app: &AppName, change: impl FnOnce(&mut Facts)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(app.clone()).or_default());
    }
}
