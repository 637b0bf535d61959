//! What is remembered over days: the series of all dynos, and reports made from them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::evidence::EvidenceBook;
use crate::heroku::Heroku;
use crate::series::SeriesBook;
use crate::store::Store;
use crate::store::error::StoreAway;
use dynowarden_core::days::history::AppHistory;
use dynowarden_core::days::report::{self, Surroundings, TypeReport};
use dynowarden_core::days::size::{DynoSize, Tenancy};
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::limits;
use dynowarden_core::policy::AppPlan;
use dynowarden_core::time::{Now, earlier};

/// Shared behind an `Arc`.
#[derive(Debug)]
pub struct Days {
    pub book: SeriesBook,
    /// Requests by endpoint.
    pub evidence: EvidenceBook,
    /// None where no API is asked.
    heroku: Option<Heroku>,
    keep: Duration,
    sizes: AsyncMutex<Held<Arc<[DynoSize]>>>,
    tenancies: Mutex<HashMap<AppId, Held<Tenancy>>>,
}

/// An answer of the API, or that there was none.
#[derive(Clone, Debug)]
struct Held<T> {
    answer: Option<T>,
    until: Duration,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { answer: None, until: Duration::ZERO }
    }
}

impl<T> Held<T> {
    fn new(answer: Option<T>, now: Now) -> Self {
        let hold = if answer.is_some() { limits::SIZES_HOLD } else { limits::SIZES_RETRY };
        Self { answer, until: now.mono + hold }
    }
}

// === impl Days ===

impl Days {
    /// Series of the book's apps, kept as long as `keep`.
    pub fn new((book, evidence): (SeriesBook, EvidenceBook), heroku: Option<Heroku>, keep: Duration) -> Self {
        Self { book, evidence, heroku, keep, sizes: AsyncMutex::default(), tenancies: Mutex::default() }
    }

    /// Writes series as they come, until `end`, and then the rest.
    pub async fn write_series(self: Arc<Self>, store: Store, clock: Clock, end: CancellationToken) {
        let evidence =
            self.evidence.run(self.book.apps(), (store.clone(), clock), self.book.first_part(), end.clone());
        tokio::join!(self.book.run(store, clock, end), evidence);
    }

    /// The series of an app, or of one of its dynos, of the last `span`, at most as long as they are kept.
    ///
    /// # Errors
    /// The store is away.
    pub async fn series(
        &self,
        (plan, dyno): (&AppPlan, Option<&DynoName>),
        span: Duration,
        store: &Store,
        now: Now,
    ) -> Result<AppHistory, StoreAway> {
        self.book.flush_app(&plan.name, store).await?;
        store.series(&plan.name, dyno, earlier(now.wall, span.min(self.keep))).await
    }

    /// A report on every process type of an app. Without `asks`, an answer about the app that is not held is
    /// not asked for.
    ///
    /// # Errors
    /// The store is away.
    pub async fn reports(
        &self,
        (app, plan): (AppId, &AppPlan),
        asks: bool,
        store: &Store,
        now: Now,
    ) -> Result<Vec<TypeReport>, StoreAway> {
        let mut history = self.series((plan, None), self.keep, store, now).await?;
        self.add_evidence((app, plan), &mut history, store, now).await?;
        let sizes = self.dyno_sizes(now).await;
        let tenancy = self.tenancy(app, plan, asks && sizes.is_some(), now).await;
        let (name, zone) = (plan.name.clone(), report::zone_of(plan));
        let counts_requests = self.evidence.is_on();
        let made = tokio::task::spawn_blocking(move || {
            let (sizes, tenancy) = (sizes.as_deref(), tenancy.as_ref());
            let around = Surroundings { counts_requests, zone, sizes, tenancy };
            report::reports(&name, &history, &around)
        });
        // It has no input that can break it, and is not cancelled.
        Ok(made.await.unwrap_or_default())
    }

    /// Adds the requests of an app by endpoint, if they are counted.
    ///
    /// # Errors
    /// The store is away.
    pub async fn add_evidence(
        &self,
        (app, plan): (AppId, &AppPlan),
        to: &mut AppHistory,
        store: &Store,
        now: Now,
    ) -> Result<(), StoreAway> {
        if !self.evidence.is_on() {
            return Ok(());
        }
        self.evidence.flush(app).await?;
        let since = earlier(now.wall, limits::KEEP_EVIDENCE.min(self.keep));
        store.windows(&plan.name, since).await?.iter().for_each(|window| to.add_window(window));
        Ok(())
    }

    /// The sizes of dynos, asked for once a day.
    async fn dyno_sizes(&self, now: Now) -> Option<Arc<[DynoSize]>> {
        let heroku = self.heroku.as_ref()?;
        let mut held = self.sizes.lock().await;
        if held.until <= now.mono {
            let answer = heroku.dyno_sizes().await.value.ok().map(Arc::from);
            *held = Held::new(answer, now);
        }
        held.answer.clone()
    }

    async fn tenancy(&self, app: AppId, plan: &AppPlan, asks: bool, now: Now) -> Option<Tenancy> {
        let held = self.tenancies().get(&app).filter(|held| held.until > now.mono).cloned();
        match (held, &self.heroku) {
            (Some(held), _) => held.answer,
            (None, Some(heroku)) if asks => {
                let answer = heroku.tenancy(&plan.name).await;
                self.tenancies().insert(app, Held::new(answer.clone(), now));
                answer
            }
            _ => None,
        }
    }

    fn tenancies(&self) -> std::sync::MutexGuard<'_, HashMap<AppId, Held<Tenancy>>> {
        self.tenancies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
